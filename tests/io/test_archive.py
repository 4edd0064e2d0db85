"""Model files made to reach other files, to fill the memory or to run code."""

import ast
import hashlib
import json
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kseg.backbones import VGG16
from kseg.errors import ModelError
from kseg.io.archive import check_archive, check_hdf5, verify_sha256
from kseg.models import FCN, load
from kseg.training import initialise_from

UNSAFE_MODULES = {"pickle", "marshal", "shelve", "yaml", "dill", "joblib", "cloudpickle"}


def small_fcn():
    return FCN(VGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16"), 3, stride=32)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A model's file, as Keras writes it."""
    path, model, rng = tmp_path_factory.mktemp("sound") / "m.keras", small_fcn(), np.random.default_rng(0)
    score = model.get_layer("score_fr")  # zero at first
    score.set_weights([rng.normal(size=array.shape) for array in score.get_weights()])
    model.save(path)
    return path


def net():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="score")(image))


def changed(sound, path, **members):
    """A copy of an archive with other contents for some members (``config_json=...`` for config.json)."""
    with zipfile.ZipFile(sound) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.replace(".", "_"), old.read(name)))
    return path


def with_hdf5(sound, path, spoil):
    """A copy of a model's file after ``spoil(open HDF5 file)``."""
    with zipfile.ZipFile(sound) as archive:
        (path.parent / "w.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(path.parent / "w.h5", "a") as file:
        spoil(file)
    return changed(sound, path, model_weights_h5=(path.parent / "w.h5").read_bytes())


def first_array(file):
    """(group, name) of some array in an HDF5 file."""
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return file[found[0]].parent, found[0].rsplit("/", 1)[-1]


def refused(path, says):
    """Both readers of model files say so in one sentence with the file's name, and unpack nothing."""
    for reader in (load, lambda path: initialise_from(net(), path)):
        with pytest.raises(ModelError, match=says) as caught:
            reader(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_sound_file_passes(sound):
    check_archive(sound)
    assert load(sound).num_classes == 3


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "assets/..\\..\\evil.txt", "C:evil.txt"])
def test_names_that_lead_out(sound, tmp_path, name):
    path = changed(sound, tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "evil")
    refused(path, "leads out of the archive")


def test_links_and_twins(sound, tmp_path):
    path = changed(sound, tmp_path / "link.keras")
    link = zipfile.ZipInfo("assets")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc")
    refused(path, "is a link")
    path = changed(sound, tmp_path / "twins.keras")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    refused(path, "members have")


def test_a_zip_bomb_is_not_unpacked(sound, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    assert path.stat().st_size < 200_000
    refused(path, "would unpack to 104,857,6")


def test_a_member_of_more_bytes_than_the_archive_has(tmp_path):
    """zipfile makes room for a stored member's size before it reads; found among 10,000 damaged files."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", bytes(100))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")  # the directory's row; the sizes packed and unpacked are its bytes 20 to 27
    content[at + 20 : at + 28] = (60 << 20).to_bytes(4, "little") * 2
    path.write_bytes(content)
    refused(path, "claims more bytes than the archive has")


def test_hdf5_that_draws_on_other_files(sound, tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(4096))

    def external_link(file):
        group, name = first_array(file)
        del group[name]
        group[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")

    def external_storage(file):
        group, name = first_array(file)
        shape, dtype = group[name].shape, group[name].dtype
        del group[name]
        external = [(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        group.create_dataset(name, shape, dtype, external=external)

    for spoil in (external_link, external_storage):
        path = with_hdf5(sound, tmp_path / f"{spoil.__name__}.keras", spoil)
        with pytest.raises(ModelError, match="Keras cannot load"):
            load(path)
        with pytest.raises(ModelError, match=r"link to another place|lies in another file"):
            initialise_from(net(), path)


def test_hdf5_that_claims_to_be_huge(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_dataset("layers/score/vars/0", (1 << 20, 1 << 20), chunks=(1, 1 << 10))
    with pytest.raises(ModelError, match=r"claim to hold arrays of 4,398,046,511,104 bytes"):
        initialise_from(net(), tmp_path / "a.weights.h5")


def test_groups_that_hold_themselves(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("a")["again"] = file["/"]
        check_hdf5(file, "a.h5")


@pytest.mark.parametrize(
    "hostile",
    [
        {"module": "builtins", "class_name": "exec", "config": "raise SystemExit('code ran')"},
        {"module": "os", "class_name": "system", "config": {"command": "exit 7"}},
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {
                "name": "evil",
                "function": {
                    "class_name": "__lambda__",
                    "config": {"code": "4wAAAA==", "defaults": None, "closure": None},
                },
            },
        },
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp", "call_endpoint": "serve"}},
    ],
    ids=["exec", "os.system", "Lambda", "TFSMLayer"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["model", "backbone", "layer"])
def test_code_in_a_configuration_is_refused(sound, tmp_path, hostile, place):
    with zipfile.ZipFile(sound) as archive:
        config = json.loads(archive.read("config.json"))
    if place == "model":
        config = hostile
    elif place == "backbone":
        config["config"]["backbone"] = hostile
    else:
        config["config"]["backbone"]["config"]["padding"] = hostile
    path = changed(sound, tmp_path / "m.keras", config_json=json.dumps(config))
    with pytest.raises(ModelError, match="Keras cannot load") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_sha256(tmp_path):
    path = tmp_path / "people.keras"
    path.write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    verify_sha256(path, right.upper())
    path.write_bytes(b"Weights")
    with pytest.raises(ModelError, match=f"expected {right}: the file is damaged or was changed"):
        verify_sha256(path, right)
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        verify_sha256(path, right[:-1])
    with pytest.raises(ModelError, match="cannot be read"):
        verify_sha256(tmp_path / "none", right)


def test_nothing_else_loads_models_or_runs_what_it_reads():
    """`kseg.models.load` is the one door: no other code reads models, pickles or program text."""
    root = Path(__file__).parents[2]
    found = []
    for path in sorted(path for part in ("kseg", "apps", "tools") for path in (root / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if what := _dangerous(node):
                found.append(f"{path.relative_to(root)}:{node.lineno} {what}")
    assert not found


def _dangerous(node):
    """What a piece of program does that could run what it reads; None for nothing."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        return next((f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES), None)
    if not isinstance(node, ast.Call):
        return None
    arguments = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    method = getattr(node.func, "attr", None)  # keras.saving.load_model(...), but eval(...)
    if method in ("load_model", "enable_unsafe_deserialization") and arguments.get("safe_mode") is not True:
        return f"calls {method} without safe_mode=True"
    if arguments.get("allow_pickle") is True or getattr(node.func, "id", None) in ("eval", "exec"):
        return "runs what it reads"
    return None


def test_numbers_are_read_whole(sound):
    """What the checks let through is what was written."""
    again = small_fcn()
    initialise_from(again, sound)
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)).astype("float32")
    logits = np.asarray(load(sound)(image))
    assert logits.std() > 0
    np.testing.assert_array_equal(np.asarray(again(image)), logits)
