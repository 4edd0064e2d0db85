"""What a look at a data set found, as objects, JSON and text."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

IGNORE_LABEL = 255


@dataclass(frozen=True)
class Finding:
    """One problem or note about a data set.

    Args:
        kind: what was found, in a few words, such as "no mask".
        file: the file or class it concerns.
        message: what it means and what to do.
        fatal: whether it makes training fail or go wrong.

    Example:

    >>> kseg.data.Finding("no mask", "a.png", "the image has no mask", fatal=True).kind
    'no mask'
    """

    kind: str
    file: str
    message: str
    fatal: bool = True


@dataclass(frozen=True)
class Channel:
    """The values of one channel in all images of a data set: lowest, highest, mean and standard deviation."""

    lowest: float
    highest: float
    mean: float
    std: float


@dataclass(frozen=True)
class Findings:
    """All that `kseg.data.check` found in a data set.

    Args:
        name: data set or folder.
        samples: number of images that can be used, with their masks.
        classes: class names.
        pixels: number of labelled pixels of each class.
        images: number of images in which each class occurs.
        ignored: number of pixels with the ignore label.
        findings: problems and notes, problems first.
        ignore_label: the class id of ignored pixels.
        found: number of images in the folder, used or not.
        channels: the values of each channel, of images that are not RGB of 0-255: `lowest`, `highest`, `mean`, `std`.
        value_range: (lowest, highest) value that images may have.
        area: number of pixels of all masks where classes overlap; else 0.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.ones((2, 8, 8), "uint8")
    >>> findings = kseg.data.check(kseg.data.from_arrays(images, masks, classes=["background", "thing"]))
    >>> findings.samples
    2
    """

    name: str
    samples: int
    classes: tuple[str, ...]
    pixels: tuple[int, ...]
    images: tuple[int, ...]
    ignored: int
    findings: tuple[Finding, ...]
    ignore_label: int = IGNORE_LABEL
    found: int = 0
    channels: tuple[Channel, ...] = ()
    value_range: tuple[float, float] = (0.0, 255.0)
    area: int = 0

    @property
    def pictures(self) -> tuple[int, ...]:
        """The old name of `images`."""
        return self.images

    @property
    def ok(self) -> bool:
        """True where nothing was found that makes training fail or go wrong."""
        return not any(finding.fatal for finding in self.findings)

    def to_json(self) -> dict:
        """Everything as plain lists and numbers, for `json.dumps`.

        Returns:
            A dict for `json.dumps`.
        """
        return {**asdict(self), "ok": self.ok, "pictures": self.images}

    def table(self) -> str:
        """Problems, notes and the label histogram as text.

        Returns:
            A string of several lines.
        """
        problems = [finding for finding in self.findings if finding.fatal]
        notes = [finding for finding in self.findings if not finding.fatal]
        used = f"{self.samples} images with masks"
        if self.found > self.samples:
            used = f"{self.samples} of {self.found} images can be used"
        lines = [f"{self.name}: {used}, {len(problems)} problem(s)"]
        lines += [f"  problem, {finding.kind}: {finding.message}" for finding in problems]
        lines += [f"  note, {finding.kind}: {finding.message}" for finding in notes]
        total = max(self.area or sum(self.pixels) + self.ignored, 1)
        width = max(len(name) for name in (*self.classes, "(ignored)"))
        largest = max(*self.pixels, self.ignored, 1)
        rows = [(str(i), name, self.pixels[i], str(self.images[i])) for i, name in enumerate(self.classes)]
        rows.append((str(self.ignore_label), "(ignored)", self.ignored, ""))
        lines += [f"{'id':>4}  {'class':{width}}  {'pixels':>13}  {'share':>7}  {'images':>8}"]
        for label, name, pixels, count in rows:
            bar = "#" * round(20 * pixels / largest)
            lines.append(
                f"{label:>4}  {name:{width}}  {pixels:>13,}  {pixels / total:>7.2%}  {count:>8}  {bar}"
            )
        if self.channels:
            low, high = self.value_range
            lines.append(f"channel  values of {low:g} to {high:g}; mean and std are arguments of kseg.models.build")
            lines.append(f"{'':>7}  {'lowest':>12}  {'highest':>12}  {'mean':>12}  {'std':>12}")
            for number, one in enumerate(self.channels):
                values = (f"{value:>12,.6g}" for value in (one.lowest, one.highest, one.mean, one.std))
                lines.append(f"{number:>7}  {'  '.join(values)}")
        return "\n".join(line.rstrip() for line in lines)


def about_all_masks(
    name: str,
    counts: np.ndarray,
    masks: int,
    classes: tuple[str, ...] | None,
    own: bool,
    class_list: str = "",
    multilabel: bool = False,
) -> list[Finding]:
    """What the pixels of all masks together tell.

    Args:
        name: of the data set.
        counts: (256,) pixels of each id.
        masks: how many masks were read.
        classes: their names; None where no one said.
        own: whether the data set is the user's own: then one value and a class that never occurs are problems.
        class_list: the file that declares the classes.
        multilabel: whether classes overlap, so that there are pixels of no class.
    """
    found = []
    if multilabel and not counts.any():
        message = f"{name}: all pixels of all {masks} images are of no class: nothing can be learned from them"
        return [Finding("one value", name, message, fatal=own)]
    used = np.flatnonzero(counts[:IGNORE_LABEL])
    highest = int(used.max(initial=0))
    if classes is None and highest == 0 and counts[IGNORE_LABEL]:
        message = (
            f"{name}: the masks hold only 0 and 255, and 255 means ignored: store the classes as 0 and 1"
        )
        found.append(Finding("palette", name, message))
    elif classes is None and highest > 20 and len(used) <= highest // 2:
        ids = ", ".join(map(str, used))
        message = (
            f"{name}: the ids {ids} leave most of 0 to {highest} unused: grey levels rather than class ids?"
        )
        found.append(Finding("palette", name, message))
    elif classes is None and (missing := sorted({*range(1, highest)} - {*used.tolist()})):
        message = (
            f"{name}: the highest id is {highest}, and no mask has {', '.join(map(str, missing[:8]))}: correct the "
            "masks, or say how many classes there are"
        )
        found.append(Finding("number of classes", name, message))
    if np.count_nonzero(counts) == 1 and not multilabel:
        value = int(np.flatnonzero(counts)[0])
        message = f"{name}: all pixels of all {masks} mask(s) are {value}: nothing can be learned from them"
        found.append(Finding("one value", name, message, fatal=own))
    for index, label in enumerate(classes or (f"class {index}" for index in range(highest + 1))):
        if not counts[index]:
            where = class_list or name
            message = f"{where}: class {index} ({label}) occurs in no mask"
            found.append(Finding("empty class", where, message, fatal=classes is not None and own))
    return found


def about_channels(
    name: str, channels: tuple[Channel, ...], value_range: tuple[float, float]
) -> list[Finding]:
    """What the values of the channels tell: a channel without information, or a range that hardly any value uses."""
    found = []
    for number, one in enumerate(channels):
        if one.lowest == one.highest:
            message = f"{name}: channel {number} is {one.lowest:g} in every pixel of every image: it tells nothing"
            found.append(Finding("blank channel", name, message, fatal=False))
    low, high = value_range
    if channels and max(one.highest for one in channels) - low < (high - low) / 10:
        highest = max(one.highest for one in channels)
        message = (
            f"{name}: no value is above {highest:g}, though the declared range goes up to {high:g}: declare the range "
            "that the values have"
        )
        found.append(Finding("value range", name, message, fatal=False))
    return found
