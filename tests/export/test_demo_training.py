from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxrsweep.export.demo.augment import affine_grid, warp, with_grey_changes
from cxrsweep.export.demo.baselines import auc_with_interval, linear_scores
from cxrsweep.export.demo.cases import LABELS, Case, lung_mask, read_cases
from cxrsweep.export.demo.fitting import Schedule, shuffled_batches
from cxrsweep.export.demo.segmenter_training import (
    dice_of,
    segmentation_loss,
    train_segmenter,
)
from cxrsweep.export.networks import compact_resnet, lung_unet
from cxrsweep.export.synthetic import phantom


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_networks_keep_their_size_and_shapes() -> None:
    unet, resnet = lung_unet(), compact_resnet()
    assert parameters_of(unet) <= 600_000
    assert parameters_of(resnet) <= 1_500_000
    assert unet.eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 1, 64, 64)
    assert resnet.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 3)
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in unet.modules())


def test_augmentation_is_seeded_and_keeps_mask_on_the_lung() -> None:
    pixels = torch.zeros(8, 1, 64, 64)
    pixels[:, :, 20:40, 24:44] = 1
    grids = [
        affine_grid(
            8, 64, torch.Generator().manual_seed(seed), degrees=12, scale=(0.8, 1.15), shift=0.1
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(grids[0], grids[1])
    assert not torch.equal(grids[0], grids[2])
    both = warp(torch.cat([pixels, pixels], 1), grids[0])
    assert torch.equal(both[:, 0], both[:, 1])
    area = both[:, 0].sum((1, 2)) / (20 * 20)
    # Scale 0.8 to 1.15 and the aspect change of 7 % bound the area.
    assert ((area > 0.8**2 * 0.9) & (area < 1.15**2 * 1.1)).all()


def test_boxes_aim_the_warp() -> None:
    pixels = torch.zeros(1, 1, 64, 64)
    pixels[:, :, 16:32, 32:48] = 1
    box = torch.tensor([[0.5, 0.25, 0.75, 0.5]])
    grid = affine_grid(
        1, 16, torch.Generator().manual_seed(0), degrees=0, scale=(1, 1), shift=0, boxes=box
    )
    # All of the box is bright; the aspect change may show up to 7 % of its surroundings.
    assert warp(pixels, grid).mean() > 0.9


def test_grey_changes_stay_in_range() -> None:
    pixels = torch.rand(16, 1, 32, 32)
    changed = with_grey_changes(pixels, torch.Generator().manual_seed(0))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, pixels)


def test_loss_ignores_what_is_not_counted_and_falls_with_agreement() -> None:
    lung = torch.zeros(1, 1, 8, 8)
    lung[..., :4] = 1
    right, wrong = (lung - 0.5) * 20, (0.5 - lung) * 20
    counted = torch.ones_like(lung)
    assert segmentation_loss(right, lung, counted) < 0.02
    assert segmentation_loss(wrong, lung, counted) > 1.5
    half = counted.clone()
    half[..., 4:] = 0
    mixed = torch.where(half > 0, right, wrong)
    torch.testing.assert_close(
        segmentation_loss(mixed, lung, half), segmentation_loss(right, lung, half)
    )


def test_short_last_batch_is_kept_unless_too_small_for_statistics() -> None:
    generator = torch.Generator().manual_seed(0)
    assert [len(part) for part in shuffled_batches(10, 4, generator)] == [4, 4, 2]
    assert [len(part) for part in shuffled_batches(9, 4, generator)] == [4, 4]


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, list[Case]]:
    """Eight phantoms with masks, the last with an ignored stripe."""
    header = "image,mask,label,source,view,group,split,source_width,source_height"
    lines = [header]
    for number in range(8):
        drawn = phantom(128, 128, np.random.default_rng(number))
        x0, y0, x1, y1 = drawn.lung_box
        mask = np.zeros((128, 128), np.uint8)
        mask[y0:y1, x0:x1] = 255
        mask[:, :4] = 127
        cv2.imwrite(str(tmp_path / f"{number}.png"), drawn.pixels)
        cv2.imwrite(str(tmp_path / f"{number}-mask.png"), mask)
        lines.append(f"{number}.png,{number}-mask.png,normal,s,PA,g{number},train,640,480")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path, read_cases(tmp_path)


def test_cases_carry_what_the_table_says(labelled: tuple[Path, list[Case]]) -> None:
    _, cases = labelled
    assert cases[3] == Case("3.png", "3-mask.png", "normal", "s", "train", "g3", 640, 480)
    assert LABELS == ("normal", "pneumonia", "covid")


def test_mask_planes_are_lung_and_counted(labelled: tuple[Path, list[Case]]) -> None:
    lung, counted = lung_mask(labelled[0] / "0-mask.png", 128)
    assert set(np.unique(lung)) == {0, 255}
    assert (counted[:, :4] == 0).all()
    assert (counted[:, 4:] == 255).all()


class WholeLung(nn.Module):
    """Says lung everywhere."""

    def forward(self, radiographs: Tensor) -> Tensor:
        return torch.full_like(radiographs, 10.0)


def test_dice_leaves_ignored_pixels_out(labelled: tuple[Path, list[Case]]) -> None:
    folder, cases = labelled
    mask = cv2.imread(str(folder / "0-mask.png"), cv2.IMREAD_GRAYSCALE)
    lung, counted = (mask == 255).sum(), (mask != 127).sum()
    (found,) = dice_of(WholeLung(), folder, cases[:1], 0.5)
    assert found == pytest.approx(2 * lung / (counted + lung))


def trained(folder: Path, cases: list[Case], epochs: int) -> tuple[nn.Module, list[float]]:
    """A small network after some epochs, and the loss of each epoch."""
    torch.manual_seed(0)
    network, lines = lung_unet((4, 8, 8, 8)), []
    schedule = Schedule(epochs=epochs, batch=4, peak_rate=2e-2, decay=1e-2)
    network = train_segmenter(network, folder, cases, schedule, lines.append)
    return network, [float(line.split("loss ")[1].split()[0]) for line in lines]


def test_training_learns(labelled: tuple[Path, list[Case]]) -> None:
    _, losses = trained(*labelled, epochs=12)
    assert len(losses) == 12
    assert losses[-1] < 0.75 * losses[0]


def test_training_is_seeded(labelled: tuple[Path, list[Case]]) -> None:
    one, two = trained(*labelled, epochs=2)[0], trained(*labelled, epochs=2)[0]
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(first, second)


def test_auc_equals_counting_pairs_and_its_interval_holds_it() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(60) < 0.4
    scores = generator.normal(size=60) + positive
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    auc = auc_with_interval(positive, scores, [str(n) for n in range(60)])
    assert auc.value == pytest.approx(np.mean(pairs))
    assert auc.low < auc.value < auc.high
    assert str(auc).startswith(f"{auc.value:.3f} (")


def test_interval_is_wider_where_patients_repeat() -> None:
    generator = np.random.default_rng(1)
    positive = np.repeat(generator.random(20) < 0.5, 5)
    scores = np.repeat(generator.normal(size=20), 5) + positive
    alone = auc_with_interval(positive, scores, [str(n) for n in range(100)])
    grouped = auc_with_interval(positive, scores, [str(n // 5) for n in range(100)])
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_linear_baseline_learns_a_line_and_nothing_from_noise() -> None:
    generator = np.random.default_rng(2)
    features = generator.normal(size=(200, 3))
    positive = features[:, 0] > 0
    scores = linear_scores(features[:100], positive[:100], features[100:])
    assert ((scores > 0.5) == positive[100:]).mean() > 0.9
    assert not math.isnan(scores.sum())
