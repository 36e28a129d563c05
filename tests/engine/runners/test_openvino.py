from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cxrsweep.engine import Bundle
from cxrsweep.engine.bundle import FP32_GRAPH
from cxrsweep.engine.errors import BundleError
from cxrsweep.engine.runners.openvino import OpenVinoRunner
from cxrsweep.export.synthetic import phantom


@pytest.fixture(scope="module")
def runner(demo_bundle: Bundle) -> Iterator[OpenVinoRunner]:
    opened = OpenVinoRunner(demo_bundle.path(FP32_GRAPH), batch=4, threads=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    generator = np.random.default_rng(3)
    return np.stack([phantom(512, 512, generator).pixels for _ in range(4)])[:, None]


def test_scores_do_not_depend_on_neighbours_or_place(
    runner: OpenVinoRunner, pixels: np.ndarray
) -> None:
    together = runner.submit(pixels).result()
    backwards = runner.submit(pixels[::-1].copy()).result()
    alone = [runner.submit(pixels[n : n + 1]).result() for n in range(4)]
    np.testing.assert_array_equal(together.scores, backwards.scores[::-1])
    np.testing.assert_array_equal(together.scores, np.concatenate([s.scores for s in alone]))
    np.testing.assert_array_equal(together.lung_box, np.concatenate([s.lung_box for s in alone]))


def test_scores_do_not_depend_on_the_number_of_streams(
    runner: OpenVinoRunner, pixels: np.ndarray, demo_bundle: Bundle
) -> None:
    single = OpenVinoRunner(demo_bundle.path(FP32_GRAPH), batch=4, threads=1)
    np.testing.assert_array_equal(
        single.submit(pixels).result().scores, runner.submit(pixels).result().scores
    )
    single.close()


def test_scores_agree_with_onnxruntime(
    runner: OpenVinoRunner, pixels: np.ndarray, demo_bundle: Bundle
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        demo_bundle.path(FP32_GRAPH), providers=["CPUExecutionProvider"]
    )
    expected = dict(
        zip(
            [output.name for output in session.get_outputs()],
            session.run(None, {"radiographs": pixels}),
            strict=True,
        )
    )
    found = runner.submit(pixels).result()
    # float32 sums in another order; 1e-4 is the bundle's own tolerance.
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-4)
    np.testing.assert_allclose(found.lung_box, expected["lung_box"], atol=1 / 512)
    np.testing.assert_allclose(found.lung_fraction, expected["lung_fraction"], atol=1e-4)


def test_several_batches_in_flight_come_back_to_their_owners(
    runner: OpenVinoRunner, pixels: np.ndarray
) -> None:
    expected = runner.submit(pixels).result().scores
    flights = [runner.submit(pixels[n : n + 1]) for n in (2, 0, 3)]
    found = [flight.result().scores[0] for flight in flights]
    np.testing.assert_array_equal(found, expected[[2, 0, 3]])
    assert all(flight.is_done() for flight in flights)
    assert all(flight.ended > flight.started for flight in flights)


def test_graph_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"cannot compile .*x\.onnx"):
        OpenVinoRunner(tmp_path / "x.onnx", batch=1, threads=1)
