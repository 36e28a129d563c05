"""The pipelines' definitions; what they decode is compared in test_decode.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nvidia.dali.pipeline import Pipeline

from cxrsweep.engine.decode import pipelines
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.recipe import Recipe


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "centre-crop"])
@pytest.mark.parametrize("equalise", ["none", "histogram", "clahe"])
def test_gpu_pipeline_is_one_that_dali_knows(
    recipe_with: Callable[..., Recipe], fit: str, equalise: str
) -> None:
    # Serializing checks every operator, argument and device; only building needs a GPU.
    recipe = recipe_with(fit=fit, equalise=equalise)
    use = DecoderUse("mixed", None, 0.35, 3000, 2500)
    arguments = {"batch_size": 4, "num_threads": 2, "device_id": None}
    pipeline: Pipeline = pipelines._encoded(recipe, use, **arguments)
    graph = pipeline.serialize()
    assert b"mixed" in graph
    for argument in (b"hw_decoder_load", b"preallocate_width_hint", b"preallocate_height_hint"):
        assert argument in graph
    on_cpu = pipelines._encoded(recipe, DecoderUse(), **arguments).serialize()
    assert b"mixed" not in on_cpu
    assert b"hw_decoder_load" not in on_cpu
