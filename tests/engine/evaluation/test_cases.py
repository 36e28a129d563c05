from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import metrics as reference

from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import EvaluationError, RunError, TableError
from cxrsweep.engine.evaluation.cases import joined_cases
from cxrsweep.engine.evaluation.evaluation import evaluated
from cxrsweep.engine.evaluation.results import read_evaluation
from cxrsweep.engine.evaluation.truth import TruthColumns, label_column, read_truth

if TYPE_CHECKING:
    from conftest import Known

LABELS = ("border", "lungs")


def invoked(*words: object) -> str:
    done = CliRunner().invoke(cxrsweep, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {next(iter(row.values())).removeprefix("'"): row for row in csv.DictReader(stream)}


def test_evaluate_writes_what_scikit_learn_finds_in_the_same_files(
    known: Known, tmp_path: Path
) -> None:
    words = ["evaluate", known.run, known.labels, "--group", "patient", "--by", "site"]
    words += ["--resamples", 100, "--json", tmp_path / "e.json", "--csv", tmp_path / "e.csv"]
    text = invoked(*words)
    result = read_evaluation(tmp_path / "e.json")
    rows, lines = rows_of(known.run / "results.csv"), rows_of(known.labels)
    both = [name for name in lines if name in rows and rows[name]["status"] == "ok"]
    assert len(both) == result.n == 240
    assert result.groups == 160
    for label in LABELS:
        for site, found in ((None, result.labels[label]), *result.labels[label].by["site"].items()):
            names = [name for name in both if site in (None, lines[name]["site"])]
            truth = np.array([int(lines[name][label]) for name in names])
            scores = np.array([float(rows[name][label]) for name in names])
            decided = scores >= 0.5
            assert found.n == len(names)
            assert found.auc.value == pytest.approx(reference.roc_auc_score(truth, scores))
            sensitivity = reference.recall_score(truth, decided)
            assert found.sensitivity.value == pytest.approx(sensitivity)
            cells = reference.confusion_matrix(truth, decided).ravel()
            counts = found.confusion
            assert list(cells) == [
                *(counts.true_negative, counts.false_positive),
                *(counts.false_negative, counts.true_positive),
            ]
    for file in ("e.json", "e.csv"):
        assert ".png" not in (tmp_path / file).read_text()  # no ids, whatever they tell
    with (tmp_path / "e.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    (line,) = (r for r in table if (r["label"], r["part"], r["metric"]) == ("lungs", "B", "ppv"))
    wanted = result.labels["lungs"].by["site"]["B"].ppv
    assert float(line["value"]) == pytest.approx(wanted.value, rel=1e-5)
    for word in ("WARNING: border", "aspect ratio", "never a diagnosis", "of the 160 patients"):
        assert word in text


def test_what_does_not_meet_is_counted_and_named(known: Known) -> None:
    columns = TruthColumns()
    found, truth = read_truth(known.labels, LABELS, columns)
    cases = joined_cases(known.run, known.labels, truth)
    met = cases.met
    assert (met.rows, met.lines, met.scored) == (242, 242, 240)
    assert met.rows == met.scored + sum(met.failed.values()) + met.rows_alone
    assert met.failed == {"TRUNCATED": 1}
    assert met.rows_alone_examples == ["without-label.png"]
    assert met.lines_alone_examples == ["without-file.png"]
    assert "=odd, 7.png" in cases.radiographs  # guarded in results.csv, not in the labels
    result = evaluated(cases, found, columns, resamples=100)
    border, lungs = (result.labels[label] for label in LABELS)
    assert (border.failed_positives, border.failed_negatives) == (1, 0)
    assert (lungs.failed_positives, lungs.failed_negatives) == (0, 1)
    text = invoked("evaluate", known.run, known.labels, "--resamples", 100)
    assert "240 with score and label, 1 labelled but failed (TRUNCATED 1)" in text
    assert "1 labels without a row, such as 'without-file.png'" in text


def test_a_column_of_words_is_mapped(known: Known) -> None:
    words = [label_column("border=finding:border"), label_column("lungs=site:B")]
    found, truth = read_truth(known.labels, LABELS, TruthColumns(words))
    lines = rows_of(known.labels)
    assert [column.label for column in found] == list(LABELS)
    for name, line in lines.items():
        assert truth[name].positive["border"] == (line["finding"] == "border")
        assert truth[name].positive["lungs"] == (line["site"] == "B")


def test_real_labels_are_read_as_a_plain_reader_reads_them(real_archive: Path) -> None:
    path = real_archive / "labels.csv"
    words = [label_column("covid=label:covid"), label_column("normal=label:normal")]
    columns = TruthColumns(words, group="group", by=["view"])
    _, truth = read_truth(path, ("normal", "pneumonia", "covid"), columns)
    lines = rows_of(path)
    assert len(truth) == len(lines) == 100
    for name, line in lines.items():
        assert truth[name].positive["covid"] == (line["label"] == "covid")
        assert truth[name].patient == line["group"]
        assert truth[name].parts == {"view": line["view"]}


def test_empty_cells_are_unknown_and_patients_of_their_own(known: Known, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "\ufeffid,lungs,patient\n000.png,1,a\n001.png,0,a\n002.png,,b\n003.png,0,\n004.png,1.0,\n",
        encoding="utf-8",
    )
    columns = TruthColumns(radiograph="id", group="patient")
    found, truth = read_truth(path, LABELS, columns)
    result = evaluated(joined_cases(known.run, path, truth), found, columns, resamples=100)
    lungs = result.labels["lungs"]
    assert (lungs.n, lungs.positives, lungs.unknown, lungs.groups) == (4, 2, 1, 3)
    assert (result.groups, result.met.without_patient) == (4, 2)
    assert list(result.labels) == ["lungs"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("name,lungs\na,1\n", TruthColumns(), "the ids are looked for in one of radiograph"),
        ("image,lungs\na,1\n", TruthColumns(radiograph="id"), "the ids are looked for in 'id'"),
        ("image,x\na,1\n", TruthColumns(), "none named like a label of the run"),
        ("image,lungs\na,2\n", TruthColumns(), "line 2: '2' in the column 'lungs'"),
        ("image,lungs\na,1\na,0\n", TruthColumns(), "line 3: the id 'a' was already named in"),
        ("image,lungs\n,1\n", TruthColumns(), "line 2: no id"),
        ("image,lungs,lungs\na,1,0\n", TruthColumns(), "several columns 'lungs'"),
        ("image,lungs\na,b,1\n", TruthColumns(), "line 2: more cells than the header"),
        ("image;lungs\na;1\n", TruthColumns(), "separated by semicolons or tabs"),
        ("image,lungs\na,1\n", TruthColumns(group="who"), "--group asks for 'who'"),
        ("image,lungs\na,1\n", TruthColumns(by=["site"]), "--by asks for 'site'"),
        ("image,x\na,1\n", TruthColumns([label_column("covid=x")]), "--label names 'covid'"),
        ("image,x\na,b\n", TruthColumns([label_column("lungs=x:c")]), "no cell of the column 'x'"),
        ("image,x\na,b\n", TruthColumns([label_column("lungs=y")]), "--label asks for 'y'"),
    ],
)
def test_wrong_labels_are_told(
    tmp_path: Path, text: str, columns: TruthColumns, message: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match="^[^\n]*" + message.replace("(", r"\(")):
        read_truth(path, LABELS, columns)


def test_nothing_that_is_read_is_written_over(known: Known, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_bytes(known.labels.read_bytes())
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "behind.json")
    run = shutil.copytree(known.run, tmp_path / "run")
    words = ["evaluate", str(run), str(labels), "--resamples", "100"]
    for outputs in (
        ["--json", str(labels)],
        ["--json", str(run / "run.json")],
        ["--csv", str(run / "results.csv")],
        ["--csv", str(tmp_path / "one"), "--json", str(tmp_path / "one")],
        ["--json", "/dev/null"],
    ):
        done = CliRunner().invoke(cxrsweep, [*words, *outputs])
        assert done.exit_code == 2, outputs
    assert labels.read_bytes() == known.labels.read_bytes()
    for name in ("run.json", "results.csv"):
        assert (run / name).read_bytes() == (known.run / name).read_bytes()
    done = CliRunner().invoke(cxrsweep, [*words, "--json", str(link)])
    assert done.exit_code == 0, done.output
    assert link.is_symlink()
    assert "labels" in json.loads((tmp_path / "behind.json").read_text())


@pytest.mark.parametrize("text", ["", "=x", "a=", "a=b:"])
def test_label_words_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match="NAME=COLUMN:VALUE"):
        label_column(text)


def test_ids_that_never_meet_and_unfinished_runs_are_told(known: Known, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,lungs\nimages/000.png,1\n")
    _, truth = read_truth(path, LABELS, TruthColumns())
    with pytest.raises(EvaluationError, match=r"such as \['images/000.png'\].*--id-column"):
        joined_cases(known.run, path, truth)
    run = shutil.copytree(known.run, tmp_path / "run")
    (run / "results.csv").unlink()
    with pytest.raises(RunError, match="the sweep is not finished"):
        joined_cases(run, path, truth)
    (run / "results.csv").write_text("radiograph,lungs\n")
    with pytest.raises(TableError, match="does not have the columns of its recipe"):
        joined_cases(run, path, truth)


def test_a_column_of_many_values_is_no_subgroup(known: Known) -> None:
    columns = TruthColumns(by=["patient"])
    found, truth = read_truth(known.labels, LABELS, columns)
    with pytest.raises(EvaluationError, match="--by patient has 160 values"):
        evaluated(joined_cases(known.run, known.labels, truth), found, columns, resamples=100)


def test_a_file_of_another_kind_is_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text('{"kind": "latency"}')
    with pytest.raises(EvaluationError, match="is no result of `cxrsweep evaluate`"):
        read_evaluation(tmp_path / "e.json")
