"""The documents say what is true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import click
import pytest

from cxrsweep.engine import Bundle
from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.failures import FailureCode
from cxrsweep.engine.recipe import Agreement, Classifier, Crop, Recipe, Segmenter, recipe_from_toml
from cxrsweep.engine.runs.run_folder import INDEX_COLUMNS

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").glob("*.md"),
    REPOSITORY / "export" / "demo" / "MODEL_CARD.md",
    REPOSITORY / "export" / "systems" / "README.md",
]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_python_example_of_the_readme_runs(
    small_archive: Path,
    demo_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (example,) = blocks(REPOSITORY / "README.md", "python")
    monkeypatch.chdir(tmp_path)
    small_archive.rename(tmp_path / "my-radiographs")
    shutil.copytree(demo_bundle.folder, tmp_path / "demo" / "bundle")
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == "12 = 12 + 0\n"
    assert (tmp_path / "my-run" / "results.csv").exists()


def parsed(words: list[str]) -> None:
    """Parse a command line without running it."""
    command: click.Command = cxrsweep
    context = click.Context(cxrsweep, **cxrsweep.context_settings)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    command.make_context("cxrsweep", list(words), parent=context, resilient_parsing=True)
    known = {name for option in command.params for name in option.opts}
    assert not {word for word in words if word.startswith("-")} - known, words


def test_commands_in_documents_exist_with_their_options() -> None:
    count = 0
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0].endswith("cxrsweep"):
                    parsed(words[1:])
                    count += 1
    assert count >= 4


def test_recipe_document_shows_a_valid_recipe_and_names_every_key(tmp_path: Path) -> None:
    document = REPOSITORY / "docs" / "recipe.md"
    (example,) = blocks(document, "toml")
    tomllib.loads(example)
    (tmp_path / "recipe.toml").write_text(example)
    recipe_from_toml(tmp_path / "recipe.toml")
    text = document.read_text(encoding="utf-8")
    for model in (Recipe, Segmenter, Classifier, Crop, Agreement):
        for key in model.model_fields:
            assert f"`{key}`" in text or f"[{key}]" in text, key


def test_run_folder_document_names_every_code_and_index_column() -> None:
    text = (REPOSITORY / "docs" / "run-folder.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert documented == set(FailureCode)
    index_line = next(line for line in text.splitlines() if line.startswith("| `index.csv`"))
    for column in INDEX_COLUMNS:
        assert {"radiograph": "id"}.get(column, column) in index_line


def test_security_document_names_tests_that_exist() -> None:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    sources = [path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py")]
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) > 15
    for name in named:
        assert any(f"def {name}(" in source for source in sources), name


def test_changelog_starts_with_this_version() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+),", text, re.MULTILINE).group(1) == settings["project"]["version"]  # type: ignore[union-attr]


def test_model_card_has_the_figures_of_the_training() -> None:
    folder = REPOSITORY / "export" / "demo"
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")

    def leaves(value: object) -> list[str]:
        if isinstance(value, dict):
            return [leaf for part in value.values() for leaf in leaves(part)]
        return [str(value)]

    for figure in leaves(json.loads((folder / "figures.json").read_text())):
        assert figure in card, figure


def test_shipped_networks_fit_their_size_and_their_weights(demo_bundle: Bundle) -> None:
    folder = REPOSITORY / "export" / "demo"
    shipped = [*(folder / "weights").iterdir(), *(folder / "bundle").iterdir()]
    assert sum(path.stat().st_size for path in shipped) <= 15_000_000
    sources = demo_bundle.manifest.source_weights
    for part in ("segmenter", "classifier"):
        assert file_sha256(folder / "weights" / f"{part}.safetensors") == sources[part]


def test_no_document_or_file_names_a_machine() -> None:
    tracked = [
        path
        for layer in ("engine", "export", "bench", "scripts", "tests", "docs")
        for path in (REPOSITORY / layer).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__)
    ]
    for path in [*tracked, *REPOSITORY.glob("*.md")]:
        assert not re.search(rb"/(?:tmp|root|home|work)/[a-z]+/", path.read_bytes()), path
