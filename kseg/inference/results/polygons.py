"""Outlines of regions along the edges of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Ring = np.ndarray  # float64 (points, 2): x, y of the corners, in pixels; not closed


@dataclass(frozen=True, eq=False)
class Region:
    """A connected region of one class (pixels that share a side).

    Attributes:
        class_id: its class.
        area: pixels.
        box: (x, y, width, height).
        mask: bool (height, width) of the box.
    """

    class_id: int
    area: int
    box: tuple[int, int, int, int]
    mask: np.ndarray

    def rings(self, tolerance: float = 0.0) -> list[Ring]:
        """The outline, clockwise on the screen, then the holes, counter-clockwise.

        Args:
            tolerance: pixels by which the outline may be simplified (Douglas-Peucker); 0 keeps every corner. An outline
                that would vanish is simplified less; a hole that would vanish is left out.
        """
        exact = sorted(outlines(self.mask), key=signed_area, reverse=True)
        if tolerance == 0:
            return [ring + self.box[:2] for ring in exact]
        outline, less = _simplified(exact[0], tolerance), min(tolerance, sum(self.box[2:])) / 2
        while signed_area(outline) <= 0:
            outline, less = (_simplified(exact[0], less), less / 2) if less > 0.25 else (exact[0], less)
        holes = [ring for ring in (_simplified(one, tolerance) for one in exact[1:]) if signed_area(ring) < 0]
        return [ring + self.box[:2] for ring in (outline, *sorted(holes, key=signed_area, reverse=True))]


def regions(labels: np.ndarray, ids: list[int], least: int = 1) -> list[Region]:
    """The regions of some classes in a label map (H, W), class by class, from the top.

    Args:
        ids: the classes.
        least: regions of fewer pixels are left out.
    """
    found = []
    for class_id in ids:
        count, numbered, stats, _ = cv2.connectedComponentsWithStats(
            (labels == class_id).astype(np.uint8), connectivity=4
        )
        for number in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[number])
            if area >= least:
                mask = numbered[top : top + height, left : left + width] == number
                found.append(Region(class_id, area, (left, top, width, height), mask))
    return found


def _simplified(ring: Ring, tolerance: float) -> Ring:
    return cv2.approxPolyDP(ring.astype(np.float32), tolerance, closed=True)[:, 0].astype(np.float64)


def outlines(mask: np.ndarray) -> list[Ring]:
    """Every closed outline of a mask, along its pixels' edges; the mask lies on the right hand of each."""
    padded = np.pad(mask.astype(bool), 1)
    inside = padded[1:-1, 1:-1]
    starts, steps = [], []
    # Of each pixel the sides that face another value, in the direction that keeps the pixel on the right.
    for beyond, corner, step in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: rightwards
        (padded[1:-1, 2:], (1, 0), (0, 1)),  # on the right: downwards
        (padded[2:, 1:-1], (1, 1), (-1, 0)),  # below: leftwards
        (padded[1:-1, :-2], (0, 1), (0, -1)),  # on the left: upwards
    ):
        rows, columns = np.nonzero(inside & ~beyond)
        starts.append(np.stack([columns + corner[0], rows + corner[1]], -1))
        steps += [step] * len(rows)
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, step in zip(np.concatenate(starts).tolist(), steps, strict=True):
        leaving.setdefault(tuple(start), []).append(step)
    rings = []
    while leaving:
        point = next(iter(leaving))
        step, ring = leaving[point][0], []
        while point in leaving:
            ways = leaving[point]
            # Where two pixels touch at a corner: to the left, so that rings touch and never cross.
            left = (step[1], -step[0])
            way = left if left in ways else ways[0]
            ways.remove(way)
            if not ways:
                del leaving[point]
            if not ring or way != step:
                ring.append(point)
            point, step = (point[0] + way[0], point[1] + way[1]), way
        points = np.array(ring, np.float64)
        before, after = points[0] - points[-1], points[1] - points[0]
        starts_straight = before[0] * after[1] == before[1] * after[0]  # its first point is no corner
        rings.append(points[1:] if starts_straight else points)
    return rings


def signed_area(ring: Ring) -> float:
    """Area inside a ring; below 0 where it runs counter-clockwise on the screen (y downwards)."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
