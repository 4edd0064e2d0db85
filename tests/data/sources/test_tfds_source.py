from pathlib import Path

import numpy as np
import pytest

from kseg.data import load
from kseg.errors import DataError, KsegWarning

RNG = np.random.default_rng(0)
SIZES = [(20, 31), (17, 16), (24, 24), (9, 40), (12, 13)]


def build(root, name, features, examples, file_format="tfrecord"):
    """Write ``{split: [example, ...]}`` as tfds does."""
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.2.0")
        code_path = None

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features(tfds.features))
            )

        def _split_generators(self, dl_manager):
            return {split: enumerate(found) for split, found in examples.items()}

        def _generate_examples(self):
            raise NotImplementedError

    Builder.name = name
    Builder(data_dir=str(root), file_format=file_format).download_and_prepare()


def pet_features(features):
    """As in tfds's oxford_iiit_pet 4.0.0, without the labels that kseg does not use."""
    return {
        "image": features.Image(encoding_format="jpeg"),
        "label": features.ClassLabel(num_classes=37),
        "file_name": features.Text(),
        "segmentation_mask": features.Image(shape=(None, None, 1), use_colormap=True),
    }


def pet_examples(count=5):
    return [
        {
            "image": np.full((*SIZES[i], 3), 40 * (i + 1), np.uint8),
            "label": i,
            "file_name": f"{i}.jpg",
            "segmentation_mask": RNG.integers(1, 4, (*SIZES[i], 1), dtype=np.uint8),
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_pet(tmp_path, file_format):
    if file_format == "array_record":
        pytest.importorskip("array_record")
    written = pet_examples()
    build(tmp_path, "oxford_iiit_pet", pet_features, {"train": written, "test": pet_examples(2)}, file_format)
    dataset = load("oxford_iiit_pet", tmp_path)
    assert dataset.classes == ("pet", "background", "border")
    assert len(dataset) == 5
    assert len(load("oxford_iiit_pet", tmp_path, "test")) == 2
    found = set()
    for index in range(5):
        image, mask = dataset.load(index)
        source = next(i for i, size in enumerate(SIZES) if size == mask.shape)
        found.add(source)
        assert abs(int(image.mean()) - 40 * (source + 1)) <= 1
        np.testing.assert_array_equal(mask, written[source]["segmentation_mask"][..., 0] - 1)
    assert found == set(range(5))


def test_slices_and_missing_splits(tmp_path):
    build(tmp_path, "oxford_iiit_pet", pet_features, {"train": pet_examples()})
    whole = load("oxford_iiit_pet", tmp_path)
    part = load("oxford_iiit_pet", tmp_path, "train[40%:80%]")
    assert len(part) == 2
    np.testing.assert_array_equal(part.load(0)[1], whole.load(2)[1])
    with pytest.raises(DataError, match="no split 'val'; found train"):
        load("oxford_iiit_pet", tmp_path, "val")


def test_any_builder_with_class_names(tmp_path):
    examples = [
        {"photo": np.zeros((8, 9, 3), np.uint8), "classes": np.full((8, 9, 1), i, np.uint8)} for i in (0, 2)
    ]
    build(
        tmp_path,
        "rooms",
        lambda f: {
            "photo": f.Image(shape=(None, None, 3)),
            "classes": f.LabeledImage(labels=["wall", "floor", "door"], shape=(None, None, 1)),
        },
        {"train": examples},
    )
    dataset = load("tfds:rooms", tmp_path)
    assert dataset.classes == ("wall", "floor", "door")
    assert sorted(int(dataset.load(i)[1].max()) for i in range(2)) == [0, 2]


def test_classes_are_counted_where_they_have_no_names(tmp_path):
    build(tmp_path, "oxford_iiit_pet", pet_features, {"train": pet_examples(2)})
    assert load("tfds:oxford_iiit_pet", tmp_path).num_classes == 4


def test_all_splits_have_the_classes_of_the_highest_id(tmp_path):
    one, two = (
        {"image": np.zeros((4, 5, 3), np.uint8), "mask": np.full((4, 5, 1), i, np.uint8)} for i in (1, 6)
    )
    features = {"image": (None, None, 3), "mask": (None, None, 1)}
    build(
        tmp_path,
        "ids",
        lambda f: {name: f.Image(shape=shape) for name, shape in features.items()},
        {"train": [one], "test": [two]},
    )
    with pytest.warns(KsegWarning, match=r"class id 6 in the mask, and no mask of ids has 2, 3, 4, 5; all 7 are taken"):
        assert load("tfds:ids", tmp_path).classes == load("tfds:ids", tmp_path, "test").classes
    with pytest.warns(KsegWarning):
        assert load("tfds:ids", tmp_path).num_classes == 7


def test_not_prepared_or_without_masks(tmp_path):
    with pytest.raises(DataError, match=r"run `tfds build oxford_iiit_pet --data_dir"):
        load("oxford_iiit_pet", tmp_path)
    examples = [{"image": np.zeros((8, 9, 3), np.uint8), "label": 1}]
    build(
        tmp_path,
        "plain",
        lambda f: {"image": f.Image(shape=(None, None, 3)), "label": f.ClassLabel(num_classes=3)},
        {"train": examples},
    )
    with pytest.raises(DataError, match=r"expected an image feature.*the data set has image, label"):
        load("tfds:plain", tmp_path)


def test_cut_record_file(tmp_path):
    build(tmp_path, "oxford_iiit_pet", pet_features, {"train": pet_examples(2)})
    path = next(tmp_path.rglob("*.tfrecord*"))
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    with pytest.raises(DataError, match="cut short"):
        load("oxford_iiit_pet", tmp_path)
    path.write_bytes(data[:60] + bytes(200) + data[260:])
    with pytest.raises(DataError, match=r"record 0 of .train. .*checksum"):
        load("oxford_iiit_pet", tmp_path).load(0)


@pytest.mark.parametrize(("kind", "channels"), [(np.uint16, 3), (np.uint16, 1), (np.uint8, 4), (np.uint8, 1)])
def test_images_of_other_depths_and_channels(tmp_path, kind, channels):
    image = np.full((4, 6, channels), 40_000 if kind == np.uint16 else 156, kind)  # 40,000 / 257 = 155.6
    build(
        tmp_path,
        "deep",
        lambda features: {
            "image": features.Image(shape=(None, None, channels), dtype=kind),
            "mask": features.Image(shape=(None, None, 1)),
        },
        {"train": [{"image": image, "mask": np.ones((4, 6, 1), np.uint8)}]},
    )
    found = load("tfds:deep", tmp_path).load(0)[0]
    np.testing.assert_array_equal(found, np.full((4, 6, 3), 156, np.uint8))


def test_a_flipped_bit_is_named_and_never_means_fewer_records(tmp_path):
    build(tmp_path, "oxford_iiit_pet", pet_features, {"train": pet_examples()})
    dataset = load("oxford_iiit_pet", tmp_path)
    path, start, length = dataset.samples.records[3]
    whole = bytearray(Path(path).read_bytes())

    flipped = whole.copy()
    flipped[start + length // 2] ^= 16
    Path(path).write_bytes(flipped)
    for index in (0, 1, 2, 4):
        dataset.load(index)
    with pytest.raises(DataError, match=rf"{path}: record 3 of 'train' .* wrong checksum"):
        dataset.load(3)
    flipped = whole.copy()
    flipped[start - 12] ^= 1
    Path(path).write_bytes(flipped)
    with pytest.raises(DataError, match=rf"{path}: .*record 3"):
        load("oxford_iiit_pet", tmp_path)
    Path(path).write_bytes(whole[: start - 12])  # ends behind a whole record
    with pytest.raises(DataError, match=r"3 records of 'train' .* 5 should be"):
        load("oxford_iiit_pet", tmp_path)
