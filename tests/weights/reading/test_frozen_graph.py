"""Frozen graphs, written by TensorFlow."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import import_weights, read
from kseg.weights.reading.frozen_graph import read_frozen_graph
from tests.weights.layouts.test_mobilenet_v2 import narrow_checkpoint

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def frozen(arrays):
    """A graph of constants as freezing leaves them, with what else a graph has."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], name="ImageTensor")
        tf.reshape(image, tf.constant([-1], name="Reshape/shape"))
        for name, array in arrays.items():
            tf.identity(tf.constant(array, name=name), name=f"{name}/read")
    return graph.as_graph_def().SerializeToString()


def test_constants_that_were_variables(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "Conv/weights": rng.normal(size=(3, 3, 2, 5)).astype("f4"),
        "Conv/BatchNorm/gamma": np.full(5, 0.5, "f4"),  # TensorFlow may write one number for all
        "Conv/biases": np.float32([7]),
    }
    (tmp_path / "frozen_inference_graph.pb").write_bytes(frozen({**arrays, "Conv/stride": np.float32([1, 2])}))
    found, meta = read(tmp_path / "frozen_inference_graph.pb")
    assert (sorted(found), meta["format"]) == (sorted(arrays), "frozen graph")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.full
def test_a_deeplab_of_a_frozen_graph_is_that_of_its_checkpoint(tmp_path):
    arrays = narrow_checkpoint()
    (tmp_path / "net.pb").write_bytes(frozen(arrays))
    np.savez(tmp_path / "net.npz", **arrays)
    one, other = (import_weights(tmp_path / f"net.{kind}") for kind in ("pb", "npz"))
    assert (one.source, one.unused) == (other.source, ())
    for mine, theirs in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_files_that_are_none(tmp_path):
    whole = frozen({"Conv/weights": np.arange(100, dtype="f4")})
    for content in (b"a text", frozen({"x": np.float32(1)}), whole[:200], whole[:-1]):
        (tmp_path / "x.pb").write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.pb"):
            read_frozen_graph(tmp_path / "x.pb")
    lying = whole.replace(b"\x12\x02\x08\x64", b"\x12\x02\x08\x65")  # a hundred and one numbers
    assert lying != whole
    (tmp_path / "x.pb").write_bytes(lying)
    with pytest.raises(ModelError, match=r"shape \(101,\) and 100 numbers"):
        read_frozen_graph(tmp_path / "x.pb")
