"""The fused network: uint8 radiographs in, scores and lung boxes out, in one graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.engine.recipe import Network, Recipe

OUTPUTS = ("scores", "lung_box", "lung_fraction", "probe_scores")


class Normalise(nn.Module):
    """Scale intensities in [0, 1] to what a network was trained on, and repeat the grey channel.

    Args:
        network: mean and std, or intensity_range; neither leaves [0, 1].
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        channels = network.channels
        if network.intensity_range:
            low, high = network.intensity_range
            mean, std = -low / (high - low), 1 / (high - low)
            means, stds = [mean] * channels, [std] * channels
        else:
            means = _per_channel(network.mean, 0.0, channels)
            stds = _per_channel(network.std, 1.0, channels)
        self.channels = channels
        self.register_buffer("scale", torch.tensor([1 / s for s in stds]).view(1, -1, 1, 1))
        self.register_buffer(
            "offset",
            torch.tensor([-m / s for m, s in zip(means, stds, strict=True)]).view(1, -1, 1, 1),
        )

    def forward(self, intensity: Tensor) -> Tensor:
        """(N, 1, h, w) float32 in [0, 1] to (N, channels, h, w) float32."""
        return intensity * self.scale + self.offset


def _per_channel(
    value: float | Sequence[float] | None, otherwise: float, channels: int
) -> list[float]:
    if value is None:
        return [otherwise] * channels
    return [float(value)] * channels if isinstance(value, (int, float)) else list(value)


def lung_box_of(mask: Tensor) -> Tensor:
    """Smallest box around the lung of each mask.

    Args:
        mask: (N, 1, h, w) float32, 1 where lung.

    Returns:
        (N, 4) float32 x0, y0, x1, y1 as fractions, end exclusive; x1 = 0 where there is no lung.
    """
    ends = []
    for axis in (3, 2):
        size = mask.shape[axis]
        seen = mask.amax(dim=5 - axis).squeeze(1) > 0
        place = torch.arange(size, dtype=torch.float32, device=mask.device).unsqueeze(0)
        first = torch.where(seen, place, float(size)).amin(1)
        last = torch.where(seen, place + 1, 0.0).amax(1)
        ends += [first / size, last / size]
    x0, x1, y0, y1 = ends
    return torch.stack([x0, y0, x1, y1], 1)


def opened_mask(mask: Tensor, side: int) -> Tensor:
    """Morphological opening with a square: drops specks narrower than `side` pixels.

    Args:
        mask: (N, 1, h, w) float32, 0 or 1.
        side: odd side of the square; 1 changes nothing.
    """
    if side == 1:
        return mask
    eroded = -F.max_pool2d(-mask, side, stride=1, padding=side // 2)
    return F.max_pool2d(eroded, side, stride=1, padding=side // 2)


def crop_box_of(lung_box: Tensor, margin: float, *, square: bool) -> Tensor:
    """Grow lung boxes by a margin and, if asked, to a square; stay inside the radiograph.

    Args:
        lung_box: (N, 4) float32 fractions.
        margin: added on each side, as a fraction of the box.
        square: make both sides as long as the longer one.

    Returns:
        (N, 4) float32 fractions in [0, 1].
    """
    low, high = lung_box[:, :2], lung_box[:, 2:]
    size = (high - low) * (1 + 2 * margin)
    centre = (low + high) / 2
    if not square:
        return torch.cat([(centre - size / 2).clamp(min=0), (centre + size / 2).clamp(max=1)], 1)
    size = size.amax(1, keepdim=True).expand(-1, 2).clamp(max=1.0)
    start = torch.minimum((centre - size / 2).clamp(min=0), 1 - size)
    return torch.cat([start, start + size], 1)


def sampled(planes: Tensor, box: Tensor, side: int, supersample: int) -> Tensor:
    """Resample boxes to squares: bilinear, `supersample` samples per pixel and axis, averaged.

    Args:
        planes: (N, C, S, S) float32.
        box: (N, 4) float32 x0, y0, x1, y1 as fractions.
        side: of the result in pixels.
        supersample: samples per axis and pixel, against aliasing.

    Returns:
        (N, C, side, side) float32.
    """
    count = side * supersample
    # Added up from one row and one column, because stacking broadcast axes costs OpenVINO as much
    # as a convolution, and a whole grid would be folded into the graph as megabytes of constants.
    step = (torch.arange(count, dtype=torch.float32, device=planes.device) + 0.5) / count
    axis = torch.eye(2, device=planes.device)
    low, size = box[:, None, None, :2], box[:, None, None, 2:] - box[:, None, None, :2]
    row = step.view(1, 1, count, 1) * axis[0] * (2 * size)
    column = step.view(1, count, 1, 1) * axis[1] * (2 * size) + (2 * low - 1)
    grid = row + column
    dense = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(dense, supersample) if supersample > 1 else dense


def resized(planes: Tensor, side: int) -> Tensor:
    """(N, C, S, S) float32 to (N, C, side, side): block average where S divides, else sampled."""
    source = planes.shape[-1]
    if source == side:
        return planes
    if source % side == 0:
        return F.avg_pool2d(planes, source // side)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=planes.device)
    supersample = max(1, -(-source // side))
    return sampled(planes, whole.expand(planes.shape[0], 4), side, supersample)


def activated(logits: Tensor, activation: str) -> Tensor:
    """Sigmoid or softmax over dimension 1 in float32."""
    logits = logits.float()
    return logits.sigmoid() if activation == "sigmoid" else logits.softmax(1)


class FusedNetwork(nn.Module):
    """Segmentation, lung box, crop and classification as one module.

    Args:
        recipe: decides every step.
        classifier: from (N, channels, side, side) to logits (N, L).
        segmenter: from (N, channels, side, side) to logits (N, classes, h, w); None crops nothing.
        precision: dtype in which the two networks run; everything between them stays float32.
    """

    def __init__(
        self,
        recipe: Recipe,
        classifier: nn.Module,
        segmenter: nn.Module | None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.precision = precision
        self.classifier = classifier.to(precision)
        self.normalise = Normalise(recipe.classifier)
        if segmenter is not None and recipe.segmenter is not None:
            self.segmenter = segmenter.to(precision)
            self.normalise_for_segmenter = Normalise(recipe.segmenter)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        if self.recipe.segmenter is None:
            return ["scores"]
        return list(OUTPUTS if self.recipe.probe == "background" else OUTPUTS[:3])

    def forward(self, radiographs: Tensor) -> tuple[Tensor, ...]:
        """Score a batch.

        Args:
            radiographs: (N, 1, S, S) uint8.

        Returns:
            as `output_names`: scores (N, L), lung box (N, 4) as fractions, lung fraction (N,),
            probe scores (N, L); all float32.
        """
        intensity = radiographs.float() / 255
        if self.recipe.segmenter is None:
            return (self._scores_of(resized(intensity, self.recipe.classifier.side)),)
        crop = self.recipe.crop
        mask = self._lung_mask_of(intensity)
        lung_fraction = mask.mean((1, 2, 3))
        enough = lung_fraction >= crop.minimum_lung_fraction
        found = (enough & (lung_fraction > 0)).unsqueeze(1)
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=mask.device)
        lung_box = torch.where(found, lung_box_of(mask), whole)
        crop_box = crop_box_of(lung_box, crop.margin, square=crop.square)
        view = self._view_of(intensity, crop_box)
        outputs = [lung_box, lung_fraction]
        if crop.blackout or self.recipe.probe == "background":
            lungs = self._view_of(mask, crop_box)
            if self.recipe.probe == "background":
                outputs.append(self._scores_of(view * (1 - lungs)))
            if crop.blackout:
                view = view * torch.where(found.view(-1, 1, 1, 1), lungs, 1.0)
        return (self._scores_of(view), *outputs)

    def _view_of(self, planes: Tensor, crop_box: Tensor) -> Tensor:
        """What the classifier sees of radiographs or masks: (N, 1, h, w) to (N, 1, side, side)."""
        crop, side = self.recipe.crop, self.recipe.classifier.side
        if crop.region == "whole":
            return resized(planes, side)
        return sampled(planes, crop_box, side, crop.supersample)

    def _lung_mask_of(self, intensity: Tensor) -> Tensor:
        recipe = self.recipe.segmenter
        assert recipe is not None
        small = self.normalise_for_segmenter(resized(intensity, recipe.side))
        probability = activated(self.segmenter(small.to(self.precision)), recipe.activation)
        lung = probability[:, recipe.lung_classes].sum(1, keepdim=True)
        return opened_mask((lung > recipe.threshold).float(), recipe.clean)

    def _scores_of(self, view: Tensor) -> Tensor:
        logits = self.classifier(self.normalise(view).to(self.precision))
        return activated(logits, self.recipe.classifier.activation)
