"""docs/results/claims.md and its figures, from the lines of finished runs and tests."""

from __future__ import annotations

import math
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
Length = tuple[int, int | None]  # steps of a training, and on how many images it is scored: None is all
FEWEST = 3  # seeds for a verdict
NO_GAIN = 1.0  # points
NAMES = {"voc": "VOC's animals and people", "camvid": "CamVid", "whole": "whole networks"}
IMAGES = {"camvid": "CamVid", "people": "VOC's people"}  # of the tests


def verdict(claim: Claim, low: float, high: float) -> str:
    """What an interval (in points) says about a claim.

    That something is no better is shown where a gain of a point or more is out of the interval.
    """
    if not claim.gain:
        return "reversed" if low > 0 else "shown" if high < NO_GAIN else "within noise"
    return "shown" if low > 0 else "reversed" if high < 0 else "within noise"


def interval_of(claim: Claim, lines: Sequence[Line], data: str) -> tuple[Interval, Length] | None:
    """The interval of a claim in points of mean IoU over the seeds that both variants have, and the runs' length.

    Of trainings of several lengths the longest with enough seeds for a verdict counts, else that with most seeds; of
    scores on several numbers of images those on most.
    """
    found = []
    lengths = {(line["steps"], line["limit"]) for line in lines if line["data"] == data}
    for steps in sorted(lengths, key=lambda one: (one[0], one[1] or math.inf), reverse=True):
        better, worse = (_by_seed(lines, keys, data, steps) for keys in (claim.better, claim.worse))
        seeds = sorted(better.keys() & worse.keys())
        interval = paired([100 * (better[seed] - worse[seed]) for seed in seeds])
        if interval is not None:
            found.append((interval, steps))
    return max(found, key=lambda one: min(one[0].count, FEWEST), default=None)


def write(lines: Sequence[Line], out: Path) -> Path:
    """Write OUT/results/claims.md and the figures OUT/images/claims_*.png; gives the page's path."""
    (out / "results").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    runs = [line for line in lines if "variant" in line]
    found = sorted((line for line in lines if "test" in line), key=lambda line: line["images"])
    whole = {line["test"]: line for line in found}  # on most images
    tests = {line["test"]: whole[line["test"]] for line in lines if "test" in line}
    parts, untested = [_opening(lines)], list(claimed.UNTESTED)
    for data in NAMES:
        claims = claimed.WHOLE if data == "whole" else claimed.HEADS
        found = {claim: interval_of(claim, runs, data) for claim in claims}
        chosen = {claim: one for claim, one in found.items() if one is not None}
        missing = [claim.text for claim in claims if claim not in chosen]
        if chosen:
            parts.append(_trained(data, chosen, [line for line in runs if line["data"] == data], out))
            untested += [f"not run yet, {_title(data)}: {'; '.join(missing)}"] if missing else []
        else:
            untested.append(f"not run yet: {_title(data)}")
    if tests:
        parts.append(_tests(tests, out))
    rest = "\n".join(f"- {one}" for one in untested)
    parts.append(f"## Not tested here\n\n{rest}\n")
    page = out / "results" / "claims.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _by_seed(lines: Sequence[Line], keys: str, data: str, length: Length) -> dict[int, float]:
    """Mean IoU by seed; of several keys with "|" between them that of the best one, where all are there."""
    found: list[dict[int, float]] = []
    for key in keys.split("|"):
        facts = (key, data, *length)
        own = [line for line in lines if (line["variant"], line["data"], line["steps"], line["limit"]) == facts]
        found.append({line["seed"]: line["mean_iou"] for line in own})
    return {seed: max(one[seed] for one in found) for seed in set.intersection(*map(set, found))}


def _title(data: str) -> str:
    return NAMES[data] if data == "whole" else f"heads on {NAMES[data]}"


def _commands(lines: Sequence[Line]) -> str:
    """A command for each part of the page, as the lines tell it."""
    start, found = "python tools/claims.py --root ../shared/data --cache CACHE --data", []
    if any("test" in line for line in lines):
        found.append(f"{start} tests")
    for data in NAMES:
        own = [line for line in lines if line.get("data") == data and "variant" in line]
        if own:
            seeds = " ".join(map(str, sorted({line["seed"] for line in own})))
            found.append(f"{start} {data} --steps {max(line['steps'] for line in own)} --seeds {seeds}")
    return "\n".join(found)


def _opening(lines: Sequence[Line]) -> str:
    hours = sum(line.get("seconds", 0) for line in lines) / 3600
    processor = sum(line.get("processor_seconds", 0) for line in lines) / 3600
    runs = sum("variant" in line for line in lines)
    return f"""# The papers' claims, with error bars

Written by `tools/claims.py` from `claims.jsonl` beside this page, a line for each finished run or test:

```bash
{_commands(lines)}
```

Most claims of these papers are about heads. Every head stands on the same frozen EfficientNet-Lite0 (ImageNet
weights), whose feature maps are computed once and read back from disk, and is trained by `kseg.training.fit`; the
heads are the classes of `kseg.models`. That a head trained on stored maps comes out like one trained behind the frozen
backbone itself is a test: `test_cached_and_uncached_training_agree` in `tests/tools/test_claims.py`. Claims about
training need the whole network, and have a table of their own.

With the same seed, all variants see the same images in the same order, so the differences are paired. The interval is
Student's, of 95 %, over the seeds. **Shown** means that the whole interval is above zero, **reversed** that it is
below. Otherwise the difference is **within noise**, and "could see" says how large a true difference would have to be
to show in four out of five such experiments (`test_interval_is_students` checks both against SciPy). Where a paper
says that something does *not* help, shown means that the interval leaves out a gain of one point, and reversed that
it is above zero. With fewer than three seeds there is no verdict, and with three the intervals are wide: Student's
factor is 4.3 then, and 2.8 with five seeds. The papers' differences are those of whole networks trained a hundred to a
thousand times as long on other data: compare the signs, not the sizes.

{runs} trainings and {len(lines) - runs} tests, {hours:.1f} hours in all; the trainings took {processor:.1f} hours of
processor time on one thread.
"""


HEADS = """Trained on batches of 8 views (AdamW, learning rate 0.003 with the poly schedule); mean IoU of the validation
images at the size of the views. The differences are in points of mean IoU. After so few steps, a head that learns
faster stands above one that would end higher. In the figure blue is above zero, red below, and grey holds zero,
whatever the claim."""
WHOLE = """Backbone and head are trained together, except where the backbone is frozen, on batches of 8 crops. All
networks stand on EfficientNet-Lite0 with ImageNet weights. PSPNet (output stride 16) and FCN-8s are trained and scored
on CamVid at 144 x 192 pixels. PSPNet is trained with SGD: the learning rate falls from 0.01 by the poly schedule, the
head has ten times that rate, and images are scaled at random by 0.5 to 1.5. Each other variant of it changes one of
these things. FCN-8s is trained with AdamW. Differences are in points of mean IoU."""
DECONVNET = """

DeconvNet is trained with AdamW at 96 x 96 pixels on 200 of VOC's images with people, twice as long as the table says.
Its two stages, on crops around objects and then around proposals, have as many steps together as the training on whole
images."""


def _trained(data: str, chosen: dict[Claim, tuple[Interval, int]], lines: Sequence[Line], out: Path) -> str:
    drawn = {claim: one for claim, (one, _) in chosen.items() if one.count >= FEWEST}
    drawn = drawn or {claim: one for claim, (one, _) in chosen.items()}
    figure = f"claims_{data}.png"
    _save(
        out / "images" / figure,
        interval_image(
            {claim.text: (one.mean, one.low, one.high) for claim, one in drawn.items()},
            {claim.text: claim.paper for claim in drawn if claim.paper is not None},
        ),
    )
    rows = []
    for claim, (one, (steps, limit)) in chosen.items():
        said = verdict(claim, one.low, one.high) if one.count >= FEWEST else "too few seeds"
        rows.append(f"{_row(claim, one, said)} {steps}{'' if limit is None else f', {limit} images'} |")
    head = (
        "| claim | paper | its difference | ours, 95 % | | could see | seeds | steps |\n" + 8 * "|---" + "|"
    )
    shown = {(key, *length) for claim, (_, length) in chosen.items() for key in _keys(claim)}
    scores = [line for line in lines if (line["variant"], line["steps"], line["limit"]) in shown]
    title, text = _title(data), WHOLE if data == "whole" else HEADS + _seen(data, chosen)
    text += DECONVNET if any(key.startswith("whole-deconv") for key, *_ in shown) else ""
    return f"""## {title[0].upper()}{title[1:]}

{text}

{head}
{chr(10).join(rows)}

![Differences with their intervals](../images/{figure})

| variant | mean IoU, mean ± deviation | trained weights | seeds | steps |
|---|---|---|---|---|
{chr(10).join(_scores(scores))}
"""


def _seen(data: str, chosen: dict[Claim, tuple[Interval, Length]]) -> str:
    """What was seen after 300 steps, where it is so in these results."""
    found = {
        (claim.better, claim.worse) for claim, (one, (steps, _)) in chosen.items() if one.high < 0 and steps == 300
    }
    return claimed.SEEN[data] if found.issuperset(claimed.REVERSED[data]) else ""


def _keys(claim: Claim) -> list[str]:
    return [*claim.better.split("|"), *claim.worse.split("|")]


def _scores(lines: Sequence[Line]) -> list[str]:
    rows = []
    for variant, steps in dict.fromkeys((line["variant"], line["steps"]) for line in lines):
        own = [line for line in lines if (line["variant"], line["steps"]) == (variant, steps)]
        values = [100 * line["mean_iou"] for line in own]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        weights = f"{own[0]['weights']:,}" if "weights" in own[0] else "none"
        rows.append(
            f"| {variant} | {statistics.mean(values):.2f}{spread} | {weights} | {len(own)} | {steps} |"
        )
    return rows


def _tests(tests: dict[str, Line], out: Path) -> str:
    rows = []
    for claim in claimed.TESTS:
        line = tests.get(claim.test)
        if line is None:
            continue
        mean, low, high = (100 * value for value in _difference(line, claim))
        one = Interval(mean, low, high, line["images"], (high - low) / 2 * (1.96 + 0.84) / 1.96)
        rows.append(_row(claim, one, verdict(claim, low, high), f" of {IMAGES[line['data']]}"))
    head = "| claim | paper | its difference | ours, 95 % | | could see | images |\n|---|---|---|---|---|---|---|"
    scores = [
        f"| {key} | "
        + ", ".join(f"{name} {100 * value:.2f}" for name, value in line["mean_iou"].items())
        + " |"
        for key, line in tests.items()
    ]
    edges = "".join(_edges(key, line, out) for key, line in tests.items() if "trimap" in line)
    return f"""## Testing, with the packaged presets

These networks are trained already, and differ only in how they predict. On CamVid it is
`tools/claims/camvid_train.keras`, which has not seen val as the packaged `camvid` has; `people` {_people(tests)}.
The interval comes from a bootstrap over the images (2,000 draws with
replacement, the same ones for both ways), so it says what other images would change, not what another training would.

{head}
{chr(10).join(rows)}

| test | mean IoU |
|---|---|
{chr(10).join(scores)}
{edges}"""


def _people(tests: dict[str, Line]) -> str:
    """Which weights of the preset were tested; the first results do not say it."""
    made = {line.get("people") for line in tests.values() if line["data"] == "people"}
    if None in made:
        return "was that of commit\nab5f13d on 28 November, before it was trained on"
    sums = " or ".join(sorted(made))
    return f"was that\nwhose .keras file has a SHA-256 that begins with {sums}" if made else "is not in these tests"


def _edges(key: str, line: Line, out: Path) -> str:
    """Table and figure of the scores near true edges."""
    curves = {name: np.array(curve) for name, curve in line["trimap"].items()}
    figure = f"claims_trimap{key.removeprefix('crf').replace('-', '_')}.png"
    _save(out / "images" / figure, trimap_picture(curves))
    widths = [width for width in (1, 2, 3, 5, 10, 20) if width <= len(next(iter(curves.values())))]
    what = f"{IMAGES[line['data']]}: mean IoU within so many pixels of a true edge"
    text = f"\n| {what} | {' | '.join(map(str, widths))} |\n"
    text += f"|---{'|---' * len(widths)}|\n"
    for name, curve in curves.items():
        text += f"| {name} | {' | '.join(f'{100 * curve[width - 1]:.2f}' for width in widths)} |\n"
    return f"{text}\n![Mean IoU within so many pixels of a true edge](../images/{figure})\n"


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
