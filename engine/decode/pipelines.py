"""The DALI pipelines: encoded files or raw pixels in, equalised and fitted radiographs out.

The CPU and the GPU run the same definition; only where the decoder works differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.pipeline import Pipeline

from cxrsweep.engine.recipe import Recipe

# What a failing operator of DALI 2.4 becomes in Python; most are RuntimeError.
DALI_ERRORS = (RuntimeError, ValueError, IndexError, TypeError, MemoryError)
_CLAHE_TILES, _CLAHE_CLIP = 8, 2.0


@dataclass(frozen=True)
class DecoderUse:
    """Where and how files are decoded.

    Attributes:
        device: "cpu", or "mixed": begun on the CPU and ended on the GPU.
        number: of the GPU as CUDA counts; None on the CPU.
        hardware_share: of each batch, what the GPU's JPEG engines decode; the rest goes to CUDA.
        width_hint, height_hint: of the largest radiograph expected, so that the JPEG engines'
            buffers are made once; 0 leaves it to DALI.
    """

    device: Literal["cpu", "mixed"] = "cpu"
    number: int | None = None
    hardware_share: float = 0.65
    width_hint: int = 0
    height_hint: int = 0


def built_encoded_pipeline(recipe: Recipe, use: DecoderUse, batch: int, threads: int) -> Pipeline:
    """Pipeline with the input "files": 1-D uint8, JPEG or PNG.

    Its outputs are (N, S, S, 1) uint8 and (N, 3) int64, the decoded shapes; on a GPU also the
    lowest and highest grey value of each radiograph, (N,) uint8.
    """
    return _built(_encoded(recipe, use, **_arguments(use, batch, threads)))


def built_raw_pipeline(recipe: Recipe, batch: int, threads: int) -> Pipeline:
    """Pipeline on the CPU with the input "greys", (H, W, 1) uint8, and the output (N, S, S, 1)."""
    return _built(_raw(recipe, **_arguments(DecoderUse(), batch, threads)))


def _arguments(use: DecoderUse, batch: int, threads: int) -> dict[str, Any]:
    return {
        "batch_size": batch,
        "num_threads": threads,
        "device_id": use.number,
        "prefetch_queue_depth": 1,
    }


def _built(pipeline: Pipeline) -> Pipeline:
    pipeline.build()
    return pipeline


@pipeline_def
def _encoded(recipe: Recipe, use: DecoderUse) -> Any:
    files = fn.external_source(name="files", dtype=types.UINT8, ndim=1)
    # GRAY only: ANY_DATA overruns its buffer on grey JPEG. No EXIF turn: damaged EXIF scrambles it.
    grey = fn.decoders.image(
        files,
        device=use.device,
        output_type=types.GRAY,
        adjust_orientation=False,
        **_hardware_arguments(use),
    )
    content, fitted = _fitted(_equalised(grey, recipe), recipe)
    if use.device == "cpu":
        return fitted, grey.shape()
    # On a GPU the pixels stay there; two numbers each come back to tell constant radiographs.
    return fitted, grey.shape(), fn.reductions.min(content), fn.reductions.max(content)


@pipeline_def
def _raw(recipe: Recipe) -> Any:
    grey = fn.external_source(name="greys", dtype=types.UINT8, ndim=3, layout="HWC")
    _, fitted = _fitted(_equalised(grey, recipe), recipe)
    return fitted


def _hardware_arguments(use: DecoderUse) -> dict[str, Any]:
    if use.device == "cpu":
        return {}
    return {
        "hw_decoder_load": use.hardware_share,
        "preallocate_width_hint": use.width_hint,
        "preallocate_height_hint": use.height_hint,
    }


def _equalised(grey: Any, recipe: Recipe) -> Any:
    if recipe.equalise == "histogram":
        return fn.equalize(grey)
    if recipe.equalise == "clahe":
        return fn.clahe(grey, tiles_x=_CLAHE_TILES, tiles_y=_CLAHE_TILES, clip_limit=_CLAHE_CLIP)
    return grey


def _fitted(grey: Any, recipe: Recipe) -> tuple[Any, Any]:
    """The resized radiograph without padding, and the (S, S, 1) one."""
    side = recipe.side
    linear = {"interp_type": types.INTERP_LINEAR, "antialias": recipe.antialias}
    if recipe.fit == "stretch":
        stretched = fn.resize(grey, size=[side, side], **linear)
        return stretched, stretched
    if recipe.fit == "letterbox":
        shrunk = fn.resize(grey, size=[side, side], mode="not_larger", **linear)
        padded = fn.crop(shrunk, crop=[side, side], out_of_bounds_policy="pad", fill_values=0)
        return shrunk, padded
    cropped = _centre_cropped(grey, recipe, linear)
    return cropped, cropped


def _centre_cropped(grey: Any, recipe: Recipe, linear: dict[str, Any]) -> Any:
    """Whole pixels as torchvision counts them, by whose transforms most classifiers are trained.

    The longer side is rounded down, and half a pixel of offset to the even one.
    """
    shape = grey.shape()[:2]
    shorter = fn.reductions.min(shape)
    sides = shape * (recipe.shortest_side or recipe.side) // shorter
    shrunk = fn.resize(grey, size=fn.cast(sides, dtype=types.FLOAT), **linear)
    extra = sides - recipe.side
    half = extra // 2
    start = fn.cast(half + (extra - 2 * half) * (half - 2 * (half // 2)), dtype=types.INT32)
    return fn.slice(shrunk, start=start, shape=[recipe.side, recipe.side], axes=[0, 1])
