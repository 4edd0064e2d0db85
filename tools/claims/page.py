"""docs/results/claims.md and its figures, from the lines of finished runs and tests."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kseg.evaluation import trimap_picture
from kseg.visualize.bars import interval_image

from . import claimed
from .claimed import Claim
from .intervals import Interval, paired

Line = dict[str, Any]
FEWEST = 5  # seeds for a verdict
NO_GAIN = 1.0  # points
NAMES = {"camvid": "CamVid", "voc": "VOC's animals and people"}


def verdict(claim: Claim, low: float, high: float) -> str:
    """What an interval (in points) says about a claim.

    That something is no better is shown where a gain of a point or more is out of the interval.
    """
    if not claim.gain:
        return "reversed" if low > 0 else "shown" if high < NO_GAIN else "within noise"
    return "shown" if low > 0 else "reversed" if high < 0 else "within noise"


def interval_of(claim: Claim, lines: Sequence[Line], data: str) -> Interval | None:
    """The interval of a claim on heads in points of mean IoU, over the seeds that both variants have."""
    found = {key: _by_seed(lines, key, data) for key in (claim.better, claim.worse)}
    seeds = sorted(found[claim.better].keys() & found[claim.worse].keys())
    return paired([100 * (found[claim.better][seed] - found[claim.worse][seed]) for seed in seeds])


def write(lines: Sequence[Line], out: Path, command: str) -> Path:
    """Write OUT/results/claims.md and the figures OUT/images/claims_*.png; gives the page's path."""
    (out / "results").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    runs = [line for line in lines if "variant" in line]
    tests = {line["test"]: line for line in lines if "test" in line}
    parts = [_opening(lines, command)]
    for data in ("voc", "camvid"):
        chosen = {claim: interval_of(claim, runs, data) for claim in claimed.HEADS}
        chosen = {claim: interval for claim, interval in chosen.items() if interval is not None}
        if chosen:
            parts.append(_heads(data, chosen, runs, out))
    if tests:
        parts.append(_tests(tests, out))
    compared = {line["variant"] for line in runs}
    untested = list(claimed.UNTESTED)
    untested += [f"heads on {NAMES[data]}: not run yet" for data in NAMES if all(r["data"] != data for r in runs)]
    missing = [claim.text for claim in claimed.HEADS if not {claim.better, claim.worse} <= compared]
    untested += [f"not run yet: {'; '.join(missing)}"] if missing else []
    rest = "\n".join(f"- {one}" for one in untested)
    parts.append(f"## Not tested here\n\n{rest}\n")
    page = out / "results" / "claims.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _by_seed(lines: Sequence[Line], variant: str, data: str) -> dict[int, float]:
    return {
        line["seed"]: line["mean_iou"] for line in lines if (line["variant"], line["data"]) == (variant, data)
    }


def _opening(lines: Sequence[Line], command: str) -> str:
    hours = sum(line["seconds"] for line in lines) / 3600
    processor = sum(line.get("processor_seconds", 0) for line in lines) / 3600
    runs = sum("variant" in line for line in lines)
    return f"""# The papers' claims, with error bars

Written by `tools/claims.py` from `claims.jsonl` beside this page, a line for each finished run or test:

```bash
{command}
```

Most claims of these papers are about heads. Here every head stands on the same frozen EfficientNet-Lite0 (ImageNet),
whose maps are computed once and read back from disk, and is trained by `kseg.training.fit`: the heads are the classes
of `kseg.models`. With a seed, all variants see the same images in the same order, so differences are paired; the
interval is Student's, of 95 %, over the seeds. **Shown** is an interval above zero, **reversed** one below; else the
difference is **within noise**, and "could see" tells how large it would have had to be to show in four of five such
experiments. Where a paper says that something does *not* help, shown means that a gain of a point is out of the
interval. With fewer than five seeds there is no verdict. The papers' differences are those of whole networks, trained a
hundred to a thousand times as long, on other data: a sign is what can be compared, not a size.

{runs} trainings and {len(lines) - runs} tests, {hours:.1f} hours in all; the trainings took {processor:.1f} hours of
processor time on one thread.
"""


def _heads(data: str, chosen: dict[Claim, Interval], runs: Sequence[Line], out: Path) -> str:
    lines = [line for line in runs if line["data"] == data]
    drawn = {claim: one for claim, one in chosen.items() if one.count >= FEWEST} or chosen
    steps = ", ".join(map(str, sorted({line["steps"] for line in lines})))
    figure = f"claims_{data}.png"
    _save(
        out / "images" / figure,
        interval_image(
            {claim.text: (one.mean, one.low, one.high) for claim, one in drawn.items()},
            {claim.text: claim.paper for claim in drawn if claim.paper is not None},
        ),
    )
    rows = [
        _row(claim, one, verdict(claim, one.low, one.high) if one.count >= FEWEST else "too few seeds")
        for claim, one in chosen.items()
    ]
    head = "| claim | paper | its difference | ours, 95 % | | could see | seeds |\n|---|---|---|---|---|---|---|"
    scores = "\n".join(_scores(lines))
    return f"""## Heads on {NAMES[data]}

{steps} steps of 8 views each (AdamW, rate 0.003 falling by poly); mean IoU of the validation images at the size of the
views. Differences in points of mean IoU. After so few steps a head that learns faster stands above one that would end
higher.

{head}
{chr(10).join(rows)}

![Differences with their intervals](../images/{figure})

| variant | mean IoU, mean ± deviation | trained weights | seeds |
|---|---|---|---|
{scores}
"""


def _scores(lines: Sequence[Line]) -> list[str]:
    rows = []
    for variant in dict.fromkeys(line["variant"] for line in lines):
        own = [line for line in lines if line["variant"] == variant]
        values = [100 * line["mean_iou"] for line in own]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        rows.append(f"| {variant} | {statistics.mean(values):.2f}{spread} | {own[0]['weights']:,} | {len(own)} |")
    return rows


def _tests(tests: dict[str, Line], out: Path) -> str:
    rows = []
    for claim in claimed.TESTS:
        line = tests.get(claim.test)
        if line is None:
            continue
        mean, low, high = (100 * value for value in _difference(line, claim))
        one = Interval(mean, low, high, line["images"], (high - low) / 2 * (1.96 + 0.84) / 1.96)
        rows.append(_row(claim, one, verdict(claim, low, high), f" of {line['data']}"))
    head = "| claim | paper | its difference | ours, 95 % | | could see | images |\n|---|---|---|---|---|---|---|"
    scores = [
        f"| {key} | " + ", ".join(f"{name} {100 * value:.2f}" for name, value in line["mean_iou"].items()) + " |"
        for key, line in tests.items()
    ]
    edges = ""
    if "crf" in tests and "trimap" in tests["crf"]:
        curves = {name: np.array(curve) for name, curve in tests["crf"]["trimap"].items()}
        _save(out / "images" / "claims_trimap.png", trimap_picture(curves))
        widths = [width for width in (1, 2, 3, 5, 10, 20) if width <= len(next(iter(curves.values())))]
        edges = f"\n| mean IoU within so many pixels of a true edge | {' | '.join(map(str, widths))} |\n"
        edges += f"|---{'|---' * len(widths)}|\n"
        for name, curve in curves.items():
            edges += f"| {name} | {' | '.join(f'{100 * curve[width - 1]:.2f}' for width in widths)} |\n"
        edges += "\n![Mean IoU within so many pixels of a true edge](../images/claims_trimap.png)\n"
    return f"""## Testing, with the packaged presets

The network is trained; what differs is how it predicts. The interval is that of images drawn with replacement (2,000
draws, both ways on the same ones), so it tells of other images, not of other trainings.

{head}
{chr(10).join(rows)}

| test | mean IoU |
|---|---|
{chr(10).join(scores)}
{edges}"""


def _difference(line: Line, claim: Claim) -> list[float]:
    """Difference, lower and upper end of a claim's two ways, whichever of them came first."""
    found = line["differences"].get(f"{claim.better} - {claim.worse}")
    if found is not None:
        return found
    mean, low, high = line["differences"][f"{claim.worse} - {claim.better}"]
    return [-mean, -high, -low]


def _row(claim: Claim, one: Interval, said: str, of: str = "") -> str:
    theirs = "none given" if claim.paper is None else f"{claim.paper:+.2f}"
    ours = f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}] | {said} | {one.detectable:.2f}"
    return f"| {claim.text} | {claim.source} | {theirs} | {ours} | {one.count}{of} |"


def _save(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path, optimize=True)
