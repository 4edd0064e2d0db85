"""PyTorch's two containers, written by hand and by PyTorch; and files that lie."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.torch_file import read_torch
from tests.weights.conftest import Call, Name, Reference, state, stream_checkpoint, tensor, zip_checkpoint

WRITERS = {"zip": zip_checkpoint, "stream": stream_checkpoint}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Write a tree and storages in either container, and give the path."""

    def write(tree, storages, **fields):
        path = tmp_path / "weights.pth"
        path.write_bytes(WRITERS[request.param](tree, storages, **fields))
        return path

    return write


def refused(path, *words):
    with pytest.raises(ModelError) as caught:
        read_torch(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_arrays_come_back(write, arrays):
    found, meta = read_torch(write(*state(arrays)))
    assert meta == {"wrappers": ()}
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == np.float32


def test_views_of_one_storage(write):
    numbers = np.arange(24, dtype="f4")
    tree = {
        "transposed": tensor(numbers, "0", shape=(6, 4), strides=(1, 6)),
        "part": tensor(numbers, "0", offset=6, shape=(2, 3), strides=(6, 2)),
        "scalar": tensor(numbers, "0", offset=5, shape=(), strides=()),
        "nothing": tensor(numbers, "0", shape=(0, 3), strides=(3, 1)),
    }
    found, _ = read_torch(write(tree, {"0": numbers}))
    np.testing.assert_array_equal(found["transposed"], numbers.reshape(4, 6).T)
    np.testing.assert_array_equal(found["part"], [[6, 8, 10], [12, 14, 16]])
    assert found["scalar"] == 5
    assert found["nothing"].shape == (0, 3)


def test_wrappers_and_labels(write, arrays):
    tree, storages = state({f"module.{key}": array for key, array in arrays.items()})
    meta = {"CLASSES": ("road", "sky"), "PALETTE": [[128, 64, 128], [70, 130, 180]], "epoch": 3}
    optimizer = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.01}]}
    found, said = read_torch(write({"meta": meta, "state_dict": tree, "optimizer": optimizer}, storages))
    assert list(found) == list(arrays)
    assert said["wrappers"] == ("state_dict", "module.")
    assert said["classes"] == ("road", "sky")
    assert said["palette"] == ((128, 64, 128), (70, 130, 180))
    newer = {"dataset_meta": {"classes": ["road", "sky"], "palette": None}}
    _, said = read_torch(write({"meta": newer, "state_dict": tree}, storages))
    assert said["classes"] == ("road", "sky")
    assert "palette" not in said


def test_an_ordered_dict_and_objects_of_unknown_classes(write, arrays):
    tree, storages = state(arrays)
    ordered = Call("collections", "OrderedDict", [list(pair) for pair in tree.items()])
    history = Call("mmengine.logging.history_buffer", "HistoryBuffer", [1.0, 2.0])
    found, _ = read_torch(write({"state_dict": ordered, "message_hub": {"loss": history}}, storages))
    np.testing.assert_array_equal(found["conv.weight"], arrays["conv.weight"])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("subprocess", "Popen"),
        ("runpy", "run_path"),
        ("importlib", "import_module"),
        ("nt", "system"),
    ],
)
def test_code_is_refused_and_does_not_run(write, tmp_path, arrays, module, name):
    tree, storages = state(arrays)
    tree["w"] = Call(module, name, f"touch {tmp_path}/ran")
    refused(write({"state_dict": tree}, storages), f"{module.replace('__builtin__', 'builtins')}.{name}")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_pythons_own(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    for protocol in range(6):
        with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
            archive.writestr("evil/data.pkl", pickle.dumps({"state_dict": {"w": Evil()}}, protocol))
        refused(tmp_path / "evil.pth", "system")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": (1 << 40,), "strides": (0,)},
        {"shape": (25,), "strides": (1,)},
        {"shape": (4, 6), "strides": (7, 1)},
        {"offset": 1, "shape": (24,), "strides": (1,)},
        {"offset": -1, "shape": (3,), "strides": (1,)},
        {"shape": (3,), "strides": (-1,)},
        {"shape": (-3,), "strides": (1,)},
        {"shape": (3, 2), "strides": (1,)},
        {"shape": (1 << 70,), "strides": (1,)},
        {"shape": (1.5,), "strides": (1,)},
        {"count": 1 << 60},
        {"count": -5},
    ],
)
def test_sizes_that_the_file_does_not_bear_out(write, lie):
    numbers = np.arange(24, dtype="f4")
    refused(write({"w": tensor(numbers, "0", **lie)}, {"0": numbers}))


def test_the_same_numbers_claimed_by_thousands_of_tensors(write):
    numbers = np.zeros(50_000, "f4")
    refused(write({f"w{i}": tensor(numbers, "0") for i in range(1000)}, {"0": numbers}), "in all")


def test_half_a_file(write, arrays):
    path = write(*state(arrays))
    whole = path.read_bytes()
    for share in (0.02, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        refused(path)


def test_overlapping_and_packed_members(tmp_path, arrays):
    path = tmp_path / "weights.pth"
    whole = zip_checkpoint(*state(arrays))
    at = whole.rindex(b"archive/data/1")
    entry = whole.rindex(b"PK\x01\x02", 0, at)
    other = whole.rindex(b"PK\x01\x02", 0, entry)
    same_place = whole[: entry + 42] + whole[other + 42 : other + 46] + whole[entry + 46 :]
    path.write_bytes(same_place)
    refused(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}." + b" " * 1000)
    refused(path, "not stored as PyTorch stores it")


def test_programs_and_whole_modules(tmp_path, write, arrays):
    path = tmp_path / "weights.pth"
    path.write_bytes(zip_checkpoint(*state(arrays), members=[("archive/code/__torch__.py", "pass")]))
    refused(path, "TorchScript")
    refused(write(Call("__torch__.models", "Net"), {}), "state_dict")
    refused(write({"epoch": 3}, {}), "epoch")


def test_pickles_that_ask_for_memory(tmp_path):
    def write(code):
        with zipfile.ZipFile(tmp_path / "bomb.pth", "w") as archive:
            archive.writestr("a/data.pkl", b"\x80\x04" + code + b".")
        return tmp_path / "bomb.pth"

    refused(write(b"]" * 2_000_000), "memory")
    refused(write(b"}\x94" * 1_000_000), "memory")
    refused(write(b"N" + b"2" * 3_000_000), "memory")
    refused(write(b"\x8e" + b"\xff" * 8), "damaged")  # bytes of 2^64
    refused(write(b"]r\xff\xff\xff\x7f"))  # a memo index of 2^31: harmless, and no state dict
    refused(write(b"\x8a\xff" + b"\x7f" * 255))  # a long whole number
    refused(write(b"I" + b"9" * 100_000 + b"\n"))
    refused(write(b"(" * 100_000 + b"t" * 100_000))  # tuples in tuples


def test_references_that_are_none(write, arrays):
    numbers = arrays["bn.running_var"]
    for identity in ((), ("storage",), ("module", "x"), ("storage", Name("os", "system"), "0", "cpu", 4)):
        refused(
            write({"w": Call("torch._utils", "_rebuild_tensor_v2", Reference(*identity), 0, (4,), (1,))}, {})
        )
    missing = Call("torch._utils", "_rebuild_tensor_v2", 7, 0, numbers.shape, (1,))
    refused(write({"w": missing}, {}))


@pytest.mark.parity
@pytest.mark.parametrize("new", [True, False])
def test_what_pytorch_writes(tmp_path, new):
    torch = pytest.importorskip("torch")
    tensors = {
        "weight": torch.randn(3, 4, 5),
        "transposed": torch.randn(4, 6).t(),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(7).bfloat16(),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }
    tensors["tied"], tensors["part"] = tensors["weight"], tensors["weight"][1:]
    file = io.BytesIO()
    content = {"state_dict": tensors, "optimizer": torch.optim.Adam([tensors["parameter"]]).state_dict()}
    torch.save({**content, "score": np.float32(3)}, file, _use_new_zipfile_serialization=new)
    (tmp_path / "w.pth").write_bytes(file.getvalue())
    found, _ = read_torch(tmp_path / "w.pth")
    assert list(found) == list(tensors)
    for key, value in tensors.items():
        value = value.detach()
        np.testing.assert_array_equal(found[key], value.float() if key == "bfloat16" else value)
