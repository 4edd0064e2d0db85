"""TensorFlow's checkpoints: written by TensorFlow, and by hand where they lie."""

import os
import tracemalloc

import keras
import ml_dtypes
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.checkpoint import checkpoint_prefix, read_checkpoint
from tests.weights.conftest import checkpoint_entry, checkpoint_index
from tests.weights.reading.test_read import SPARE, attempt, mutated

AVERAGE = "conv/weights/ExponentialMovingAverage"
# 10,000 are run by hand: KSEG_FUZZ=10000 pytest tests/weights/reading/test_checkpoint.py
COUNT = int(os.environ.get("KSEG_FUZZ", "50"))
INDEX, DATA = "model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001"


def write(folder, variables):
    """A checkpoint as TensorFlow 1 names its variables."""
    tf = pytest.importorskip("tensorflow")
    names = list(variables)
    tensors = [tf.constant(variables[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "m.ckpt"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(folder / "m.ckpt")],
        destination_prefix=str(folder / "model.ckpt-7"),
        delete_old_dirs=False,
    )
    return folder / "model.ckpt-7"


def by_hand(folder, arrays, change=bytes, **lies):
    """A checkpoint of float32 arrays in one file; `lies` go to the entry of the last one."""
    entries, data = {}, b""
    for number, (name, array) in enumerate(arrays.items(), start=1):
        told = lies if number == len(arrays) else {}
        entries[name.encode()] = checkpoint_entry(array, **{"offset": len(data)} | told)
        data += array.tobytes()
    (folder / INDEX).write_bytes(checkpoint_index(entries, change))
    (folder / DATA).write_bytes(data)
    return folder / "model.ckpt-7"


@pytest.mark.tensorflow
def test_variables_come_back_and_averages_stand_for_them(tmp_path):
    kernel = np.arange(6, dtype="f4").reshape(2, 3)
    path = write(tmp_path, {"conv/weights": kernel, AVERAGE: kernel + 1, "global_step": np.int64(7)})
    for given in (path, tmp_path / INDEX, tmp_path / DATA):
        arrays, _ = read_checkpoint(given)
        assert sorted(arrays) == ["conv/weights", "global_step"]
        np.testing.assert_array_equal(arrays["conv/weights"], kernel + 1)


@pytest.mark.tensorflow
def test_every_dtype_and_shared_names(tmp_path):
    rng = np.random.default_rng(0)
    kinds = ["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "?"]
    wanted = {f"scope/{kind}": rng.normal(size=(3, 5)).astype(kind) for kind in kinds}
    wanted |= {f"scope/layer_{n}/kernel": rng.normal(size=n % 4).astype("f4") for n in range(100)}
    wanted["scope/half"] = wanted["scope/f4"].astype(ml_dtypes.bfloat16)
    wanted["scope/large"] = rng.normal(size=(7, 1001)).astype("f4")
    path = write(tmp_path, wanted | {"text": "words"})
    found, _ = read_checkpoint(path)
    assert sorted(found) == sorted(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == ("f4" if name.endswith("half") else array.dtype)
        np.testing.assert_array_equal(found[name], array.astype(found[name].dtype))


@pytest.mark.tensorflow
def test_several_files(tmp_path):
    """Of two halves that TensorFlow merges, as a training on several machines leaves them."""
    tf = pytest.importorskip("tensorflow")
    halves = {"a": np.arange(3.0), "b": np.arange(5.0)}
    prefixes = [str(tmp_path / name) for name in halves]
    for prefix, (name, array) in zip(prefixes, halves.items(), strict=True):
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=[name], shape_and_slices=[""], tensors=[tf.constant(array)]
        )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "m"))
    assert (tmp_path / "m.data-00001-of-00002").exists()
    found, _ = read_checkpoint(tmp_path / "m")
    for name, array in halves.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.tensorflow
def test_a_variable_in_parts_is_refused(tmp_path):
    tf = pytest.importorskip("tensorflow")
    halves = [tf.zeros((2, 3)), tf.ones((2, 3))]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "m"),
        tensor_names=["w", "w"],
        shape_and_slices=["4 3 0,2:-", "4 3 2,2:-"],
        tensors=halves,
    )
    with pytest.raises(ModelError, match="'w' is stored in parts"):
        read_checkpoint(tmp_path / "m")


@pytest.mark.tensorflow
def test_a_saved_model(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)])
    model.export(tmp_path / "saved", verbose=False)
    arrays, _ = read_checkpoint(tmp_path / "saved")
    kernel = np.asarray(model.layers[0].kernel)
    assert any(array.shape == kernel.shape and np.array_equal(array, kernel) for array in arrays.values())


def test_files_that_are_none(tmp_path):
    assert checkpoint_prefix(tmp_path / "x.ckpt") is None
    with pytest.raises(ModelError, match="not a TensorFlow checkpoint"):
        read_checkpoint(tmp_path)
    path = by_hand(tmp_path, {"w": np.zeros(1000, "f4")})
    index, data = tmp_path / INDEX, tmp_path / DATA
    assert read_checkpoint(path)[0]["w"].shape == (1000,)
    whole = index.read_bytes()
    for content in (data.read_bytes()[:100], b"", b"\x01" + data.read_bytes()[1:]):
        data.write_bytes(content)
        with pytest.raises(ModelError, match="model"):
            read_checkpoint(path)
    data.unlink()
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(path)
    for content in (
        b"",
        b"nothing",
        whole[:20],
        whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 + 1 :],
    ):
        index.write_bytes(content)
        with pytest.raises(ModelError, match="not the index of a TensorFlow checkpoint"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"offset": 4}, "damaged"),
        ({"offset": 1 << 60}, "beyond its file"),
        ({"size": 1 << 40, "shape": (1 << 38,)}, "beyond its file"),
        ({"size": 8}, "claims the shape"),
        ({"shape": (1 << 40, 1 << 40)}, "claims the shape"),
        ({"shape": (0, 1 << 39, 1 << 39), "size": 0}, "claims the shape"),
        ({"shape": (1,) * 40}, "claims the shape"),
        ({"shard": 3}, "no such file"),
        ({"dtype": 99}, "dtype number 99"),
        ({"checksum": 0}, "damaged"),
    ],
)
def test_lies_about_a_variable(tmp_path, lie, told):
    arrays = {"a": np.arange(5, dtype="f4"), "w": np.arange(12, dtype="f4")}
    with pytest.raises(ModelError, match=told):
        read_checkpoint(by_hand(tmp_path, arrays, **lie))


def test_the_same_numbers_claimed_by_many(tmp_path):
    numbers = np.zeros(1 << 18, "f4")
    entries = {b"%d" % number: checkpoint_entry(numbers, 0, checksum=0) for number in range(10)}
    (tmp_path / INDEX).write_bytes(checkpoint_index(dict(sorted(entries.items()))))
    (tmp_path / DATA).write_bytes(numbers.tobytes())
    with pytest.raises(ModelError, match="in all"):
        read_checkpoint(tmp_path / "model.ckpt-7")


def lying(arrays, rng):
    """A number of an entry that is another, or as large as numbers get."""
    names = ["offset", "dtype", "shard", "size", "checksum", "shape"]
    lies = {}
    for name in rng.choice(names, rng.integers(1, 4), replace=False):
        value = int(rng.choice([0, 1, 3, 7, 14, 48, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1]))
        lies[str(name)] = (value,) * int(rng.integers(1, 5)) if name == "shape" else value % (1 << 32)
    return lies


def test_damaged_files_are_read_or_refused_in_a_sentence(tmp_path, arrays):
    """Bytes of either file changed; bytes of a block changed, with its checksum right; entries that lie."""
    rng, read_once, refused = np.random.default_rng(0), 0, 0
    path = by_hand(tmp_path, arrays)
    whole = {name: (tmp_path / name).read_bytes() for name in (INDEX, DATA)}
    tracemalloc.start()
    for _ in range(COUNT):
        kind = rng.integers(4)
        if kind == 0:
            by_hand(tmp_path, arrays, lambda block: mutated(block, rng))
        elif kind == 1:
            by_hand(tmp_path, arrays, **lying(arrays, rng))
        else:
            changed = (INDEX, DATA)[kind - 2]
            for name, content in whole.items():
                (tmp_path / name).write_bytes(mutated(content, rng) if name == changed else content)
        size = sum((tmp_path / name).stat().st_size for name in whole)
        said, numbers, peak = attempt(path)
        if peak > 10 * size + SPARE:  # a module that was imported on the way counts once
            peak = attempt(path)[2]
        assert str(path) in said
        assert len(said) < 2000
        assert peak < 10 * size + SPARE
        read_once += numbers > 0
        refused += numbers == 0
    tracemalloc.stop()
    assert read_once
    assert refused
