"""Labelled radiographs for the demonstration: a folder with labels.csv in, uint8 arrays out."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]

LABELS = ("normal", "pneumonia", "covid")
SIDE = 512
MASK_SIDE = 256
LUNG, IGNORE = 255, 127


@dataclass(frozen=True)
class Case:
    """One labelled radiograph of the training folder.

    Attributes:
        image: path of the radiograph, relative to the folder of labels.csv.
        mask: path of the lung mask, or None.
        label: one of LABELS, or another word (such cases only train the segmenter).
        source: collection it comes from.
        split: train, val or test.
        group: patient or near-duplicate cluster.
        width, height: size of the original file in pixels.
    """

    image: str
    mask: str | None
    label: str
    source: str
    split: str
    group: str
    width: int
    height: int


def read_cases(folder: Path) -> list[Case]:
    """Read `folder/labels.csv` in file order.

    Raises:
        FileNotFoundError: the folder has no labels.csv.
    """
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return [
            Case(
                row["image"],
                row["mask"] or None,
                row["label"],
                row["source"],
                row["split"],
                row["group"],
                int(row.get("source_width") or row["width"]),
                int(row.get("source_height") or row["height"]),
            )
            for row in csv.DictReader(stream)
        ]


def equalised_radiograph(path: Path, side: int = SIDE) -> Uint8:
    """Decode to grey, equalise the histogram and stretch: what the recipe asks of the engine.

    Returns:
        (side, side) uint8, 0 to 255.

    Raises:
        OSError: OpenCV cannot decode the file.
    """
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise OSError(f"{path}: OpenCV cannot decode it")
    resized = cv2.resize(cv2.equalizeHist(grey), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def lung_mask(path: Path, side: int = MASK_SIDE) -> tuple[Uint8, Uint8]:
    """Read a mask (255 lung, 127 ignore, 0 background) onto a square grid.

    Returns:
        lung share and counted share of each cell, both (side, side) uint8 from 0 to 255.

    Raises:
        OSError: OpenCV cannot decode the file.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise OSError(f"{path}: OpenCV cannot decode it")
    lung = np.where(mask == LUNG, 255, 0).astype(np.uint8)
    counted = np.where(mask == IGNORE, 0, 255).astype(np.uint8)
    shares = [
        cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in (lung, counted)
    ]
    return np.asarray(shares[0], np.uint8), np.asarray(shares[1], np.uint8)
