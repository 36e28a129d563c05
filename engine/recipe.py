"""The recipe: how pixels become network input and which weights are used, checked key by key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cxrsweep.engine.errors import RecipeError

NetworkName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z][\w .-]{0,63}$")]
Side = Annotated[int, Field(ge=16, le=4096)]
Unit = Annotated[float, Field(ge=0, le=1)]
Fit = Literal["stretch", "letterbox", "centre-crop"]
Equalise = Literal["none", "histogram", "clahe"]


OTHER_COLUMNS = frozenset(
    [
        "radiograph",
        "status",
        "error",
        "x0",
        "y0",
        "x1",
        "y1",
        "lung_fraction",
        "width",
        "height",
        "bits",
        "kind",
        "flags",
    ]
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Network(_Strict):
    """A torch network and its weights, or a torch.export program (.pt2) that holds both.

    Attributes:
        network: "module:callable" that returns a torch.nn.Module; not with a .pt2.
        kwargs: keyword arguments of the callable.
        weights: .safetensors, .pt, .pth or .pt2, relative to the recipe; gone in a bundle.
        side: side of the network's square input in pixels.
        channels: 1, or 3 to repeat the grey channel.
        mean, std: applied to intensities in [0, 1].
        intensity_range: instead of mean and std, the values of black and white.
    """

    network: NetworkName | None = None
    kwargs: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    side: Side
    channels: Literal[1, 3] = 1
    mean: float | list[float] | None = None
    std: float | list[float] | None = None
    intensity_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _range_is_one(self) -> Network:
        if self.intensity_range and self.intensity_range[0] == self.intensity_range[1]:
            raise ValueError("intensity_range: black and white must differ")
        return self

    @model_validator(mode="after")
    def _one_normalisation(self) -> Network:
        if self.intensity_range and (self.mean is not None or self.std is not None):
            raise ValueError("give mean and std, or intensity_range, not both")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together: give both or neither")
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, list) and len(value) != self.channels:
                raise ValueError(f"{name} has {len(value)} values for {self.channels} channels")
        if self.std is not None and not all(
            s > 0 for s in (self.std if isinstance(self.std, list) else [self.std])
        ):
            raise ValueError("std must be above 0")
        return self


class Segmenter(Network):
    """Finds the lungs on the S-sized radiograph.

    Attributes:
        activation: what turns its output into probabilities.
        lung_classes: output channels that are lung; their probabilities are added.
        threshold: a pixel is lung above it.
        clean: side of the square opening in mask pixels that drops specks; 1 drops none.
    """

    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    lung_classes: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    clean: Literal[1, 3, 5, 7] = 3


class Crop(_Strict):
    """What of the S-sized radiograph becomes the classifier's input.

    Attributes:
        region: "lungs" crops to the lung box; "whole" crops nothing (margin and square do nothing).
        margin: added on each side, as a fraction of the box's width and height.
        square: grow the shorter side so that the crop keeps its aspect.
        minimum_lung_fraction: less lung than this of the radiograph counts as none found.
        blackout: set pixels outside the lungs to black.
        supersample: samples per output pixel and axis, averaged.
    """

    region: Literal["lungs", "whole"] = "lungs"
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    square: bool = False
    minimum_lung_fraction: Unit = 0.02
    blackout: bool = False
    supersample: Literal[1, 2, 3, 4] = 2


class Classifier(Network):
    """Scores the crop, or the whole radiograph where there is no segmenter.

    Attributes:
        activation: sigmoid (labels independent) or softmax (exactly one label).
        labels: names of the findings, in the order of the network's output.
    """

    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    labels: list[Label] = Field(min_length=1)

    @model_validator(mode="after")
    def _labels_differ(self) -> Classifier:
        if len({label.lower() for label in self.labels}) != len(self.labels):
            raise ValueError("every label must be named once")
        for label in self.labels:
            if label in OTHER_COLUMNS or label.endswith(("_flag", "_background")):
                raise ValueError(f"label {label!r} is the name of another column of results.csv")
        return self


class Agreement(_Strict):
    """How far the exported graphs may be from PyTorch in fp32.

    Attributes:
        fp32_score, fp16_score: largest difference of a score.
        fp32_box, fp16_box: largest shift of a box side in pixels of the S-sized radiograph.
    """

    fp32_score: Annotated[float, Field(gt=0)] = 1e-4
    fp32_box: Annotated[float, Field(ge=0)] = 1.0
    fp16_score: Annotated[float, Field(gt=0)] = 0.02
    fp16_box: Annotated[float, Field(ge=0)] = 4.0


class Recipe(_Strict):
    """Everything that decides a score, and what a reader must know about it.

    Attributes:
        name: of the bundle.
        intended_use: one sentence; printed with every score table.
        attribution: licences and sources of the weights.
        side: working side S in pixels: every radiograph becomes (S, S) uint8.
        fit: stretch both sides to S; letterbox with black; or shortest side and centre crop.
        shortest_side: for centre-crop, what the shortest side becomes first (default S).
        antialias: average what a shrinking fit would skip; false takes plain bilinear samples.
        equalise: of the whole radiograph's grey values, before the fit.
        thresholds: label -> score from which its flag column is 1.
        probe: "background" also scores the radiograph with the lungs removed.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    intended_use: str = "research only, never a diagnosis"
    attribution: list[str] = Field(default_factory=list)
    side: Side
    fit: Fit = "stretch"
    shortest_side: Side | None = None
    antialias: bool = True
    equalise: Equalise = "none"
    segmenter: Segmenter | None = None
    crop: Crop = Crop()
    classifier: Classifier
    thresholds: dict[str, Unit] = Field(default_factory=dict)
    probe: Literal["none", "background"] = "none"
    agreement: Agreement = Agreement()

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        unknown = sorted(set(self.thresholds) - set(self.classifier.labels))
        if unknown:
            raise ValueError(f"thresholds name {unknown}; the labels are {self.classifier.labels}")
        if self.segmenter is None and (self.crop.blackout or self.probe != "none"):
            raise ValueError("crop.blackout and probe need a segmenter")
        if self.shortest_side is not None and self.fit != "centre-crop":
            raise ValueError('shortest_side belongs to fit = "centre-crop"')
        if self.shortest_side is not None and self.shortest_side < self.side:
            raise ValueError(f"shortest_side {self.shortest_side} is below side {self.side}")
        return self

    def without_weights(self) -> Recipe:
        """The same recipe without file names: what a bundle carries."""
        parts: dict[str, Network] = {
            "classifier": self.classifier.model_copy(update={"weights": None})
        }
        if self.segmenter:
            parts["segmenter"] = self.segmenter.model_copy(update={"weights": None})
        return self.model_copy(update=parts)


def recipe_from_mapping(values: Mapping[str, Any], origin: str) -> Recipe:
    """Check parsed TOML or JSON.

    Args:
        values: the parsed document.
        origin: file name for the message.

    Raises:
        RecipeError: unknown, missing or wrong keys, each named by its path.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in fault['loc']) or 'recipe'}: {_in_words(fault)}"
            for fault in error.errors()
        ]
        raise RecipeError(
            "\n".join([f"{origin} is not a valid recipe:", *lines, "See docs/recipe.md."])
        ) from error


def _in_words(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    if fault["type"] == "missing":
        return "missing; it must be given"
    return str(fault["msg"]).removeprefix("Value error, ")


def recipe_from_toml(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        RecipeError: not readable, not TOML, or not a valid recipe.
    """
    try:
        with path.open("rb") as stream:
            values = tomllib.load(stream)
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    return recipe_from_mapping(values, str(path))
