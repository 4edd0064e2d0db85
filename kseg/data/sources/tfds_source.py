"""TensorFlow Datasets that are already prepared on disk: any builder with an image and a mask feature.

Nothing is downloaded: `tfds build NAME --data_dir ROOT` (tensorflow-datasets' own command) prepares a data
set, and kseg reads what it wrote, `ROOT/NAME[/CONFIG]/VERSION`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.masks import count_classes
from kseg.data.reading.links import stay_inside
from kseg.data.reading.tfrecord import read_record, record_offsets
from kseg.errors import DataError
from kseg.io.archive import leads_out
from kseg.io.colour_map import colour_map
from kseg.io.image_file import MAX_PIXELS, image_kind, open_image
from kseg.io.images import to_8_bits

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

# How features.json names classes: now, in protobuf's other spelling, and before tfds 4.6.
_CLASS_KEYS = {"pythonClassName", "python_class_name", "type"}
_OWN_FEATURE = re.compile(r"tensorflow_datasets\.core\.features\.\w+\.\w+")
_MASK_WORDS = ("segmentation_mask", "segmentation", "mask", "annotation", "segmentation_label", "label")


class TfdsSource:
    """Samples of a prepared tfds split, read one by one by number.

    TFRecord files (tfds's default) are indexed by the offset of every record, so nothing but the offsets is
    held in memory; other formats are read through tfds's own random access.
    """

    def __init__(self, builder: DatasetBuilder, split: str, image: str, mask: str) -> None:
        self.builder, self.split, self.image, self.mask = builder, split, image, mask
        self.max_pixels = MAX_PIXELS
        if builder.info.file_format.value != "tfrecord":
            self.records, self.arrays = None, builder.as_data_source(split)
            return
        self.records, self.arrays = [], None  # (file, start, length) of every record
        for part in builder.info.splits[split].file_instructions:
            stay_inside(builder.data_path, [Path(part.filename)])
            found = record_offsets(part.filename)
            stop = len(found) if part.take < 0 else part.skip + part.take
            self.records += [(part.filename, start, length) for start, length in found[part.skip : stop]]
        expected = builder.info.splits[split].num_examples
        if len(self.records) != expected:
            raise DataError(
                f"{builder.data_path}: {len(self.records)} records of {split!r} are in its files and {expected} should "
                "be: prepare the data set again"
            )

    def __len__(self) -> int:
        return len(self.records if self.arrays is None else self.arrays)

    def name_of(self, index: int) -> str:
        return f"{self.builder.info.name}_{self.split}_{index:05d}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        example = self._example(index)
        image, mask = np.asarray(example[self.image]), np.asarray(example[self.mask])
        channels = image.shape[-1]
        if image.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
            raise DataError(
                f"{self.name_of(index)}: the image is {image.dtype} with {channels} channels; expected uint8 or "
                "uint16 with 1, 3 or 4"
            )
        # RGB in 8 bits: grey repeated, alpha left out.
        image = to_8_bits(np.repeat(image, 3, axis=-1) if channels == 1 else image[..., :3])
        mask = mask[..., 0] if mask.ndim == 3 else mask
        if mask.size and mask.max() > 255:
            raise DataError(f"{self.name_of(index)}: class id {mask.max()} in the mask: ids are 0 to 254")
        return np.ascontiguousarray(image), mask.astype(np.uint8)

    def _example(self, index: int) -> dict:
        if self.arrays is not None:
            return self.arrays[index]
        path, start, length = self.records[index]
        record = read_record(path, start, length)
        if record is None:
            raise DataError(
                f"{path}: record {index} of {self.split!r} (byte {start - 12}) has a wrong checksum: prepare the data "
                "set again"
            )
        import tensorflow as tf  # only here: data sets of files are read without it

        try:
            fields = tf.train.Example.FromString(record).features.feature
            for name in (self.image, self.mask):
                for data in fields[name].bytes_list.value:
                    if image_kind(data) is not None:  # refuses what is too large before tfds decodes it
                        open_image(data, self.max_pixels, name=self.name_of(index))
            return self.builder.info.features.deserialize_example_np(record)
        except DataError:
            raise
        except Exception as error:  # protobuf and the image decoders each raise their own kinds
            raise DataError(
                f"{path}: record {index} of {self.split!r} is damaged ({str(error).splitlines()[0][:120]}): "
                "prepare the data set again"
            ) from None


def load_tfds(
    name: str, root: str | Path | None, split: str = "train", max_pixels: int = MAX_PIXELS
) -> Dataset:
    """A prepared tfds data set, `NAME` or `NAME/CONFIG` below `root`.

    The root is tfds's `data_dir`, `~/tensorflow_datasets` if not given.

    `split` may be a tfds slice (`"train[:80%]"`). The mask feature's class names are used where it has
    them; otherwise the classes are numbered up to the highest id found in the masks of all splits.
    """
    builder = open_builder(name, root)
    from tensorflow_datasets import features

    found = {key: one for key, one in builder.info.features.items() if isinstance(one, features.Image)}
    masks = [key for key, one in found.items() if isinstance(one, features.LabeledImage)]
    masks += [key for key in _MASK_WORDS if key in found and found[key].shape[-1] == 1]
    images = [key for key in ("image", *sorted(found)) if key in found and key not in masks]
    if not masks or not images:
        raise DataError(
            f"{builder.data_path}: expected an image feature and a one-channel mask feature (such as "
            f"'segmentation_mask'); the data set has {', '.join(sorted(builder.info.features))}"
        )
    image, mask = images[0], masks[0]
    source = _source(builder, split, image, mask)
    source.max_pixels = max_pixels
    names = tuple(getattr(builder.info.features[mask], "names", None) or ())
    if not names:
        everywhere = [TfdsSource(builder, each, image, mask) for each in builder.info.splits]
        masks = ((each.name_of(i), each.read(i)[1]) for each in everywhere for i in range(len(each)))
        names = tuple(f"class {index}" for index in range(count_classes(masks, name, strict=False)))
    return Dataset(builder.info.name, split, names, colour_map(len(names)), source, max_pixels=max_pixels)


def prepared(name: str, root: str | Path | None, split: str, image: str, mask: str) -> TfdsSource:
    """A split of a prepared data set whose features' names are known."""
    return _source(open_builder(name, root), split, image, mask)


def open_builder(name: str, root: str | Path | None) -> DatasetBuilder:
    """A tfds builder over files that lie prepared below `root`, found without the data set's own code."""
    import tensorflow_datasets as tfds

    data_dir = Path(root) if root is not None else Path.home() / "tensorflow_datasets"
    if leads_out(name):
        raise DataError(f"{name!r} leads out of {data_dir}: a tfds data set is NAME or NAME/CONFIG below it")
    versions = [info.parent for info in sorted((data_dir / name).glob("*/dataset_info.json"), key=_version)]
    if not versions:
        versions = [
            info.parent for info in sorted((data_dir / name).glob("*/*/dataset_info.json"), key=_version)
        ]
    if not versions:
        raise DataError(
            f"{data_dir / name}: no prepared tfds data set; kseg downloads nothing by itself: run "
            f"`tfds build {name} --data_dir {data_dir}`, or give as root the folder that holds {name}/"
        )
    _check_features(versions[-1] / "features.json")
    try:
        return tfds.builder_from_directory(str(versions[-1]))
    except Exception as error:  # broken JSON, unknown features, protobuf's and tfds's own kinds
        raise DataError(
            f"{versions[-1]}: tfds cannot read this data set ({str(error).strip().splitlines()[0][:200]}): prepare it "
            "again"
        ) from None


def _check_features(path: Path) -> None:
    """tfds imports the classes that features.json names: only its own are let in."""
    stay_inside(path.parent, [path])
    if not path.is_file():
        return
    try:
        waiting = [json.loads(path.read_bytes())]
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}): prepare the data set again") from None
    while waiting:
        part = waiting.pop()
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        for key in _CLASS_KEYS.intersection(part if isinstance(part, dict) else ()):
            if not _OWN_FEATURE.fullmatch(str(part[key])):
                raise DataError(
                    f"{path}: names the class {part[key]!r}, which is not one of tfds's own features and was not "
                    "imported"
                )


def _version(info: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in info.parent.name.split(".") if part.isdigit())


def _source(builder: DatasetBuilder, split: str, image: str, mask: str) -> TfdsSource:
    if split.split("[")[0] not in builder.info.splits:
        found = ", ".join(sorted(builder.info.splits))
        raise DataError(f"{builder.data_path}: no split {split!r}; found {found}")
    return TfdsSource(builder, split, image, mask)
