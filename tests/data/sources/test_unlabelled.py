"""Images without masks beside labelled ones."""

import cv2
import numpy as np
import pytest

from kseg.data import from_arrays, unlabelled
from kseg.errors import DataError

LABELLED = from_arrays(
    np.full((2, 4, 5, 3), 9, "uint8"), np.ones((2, 4, 5), "uint8"), classes=["a", "b"], ignore_label=254
)


def test_every_pixel_is_ignored_and_both_join(tmp_path):
    (tmp_path / "deep").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype("uint8")
    cv2.imwrite(str(tmp_path / "b.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "deep" / "a.png"), image[..., ::-1])
    both = LABELLED + unlabelled(tmp_path, LABELLED)
    assert len(both) == 4
    assert both.classes == ("a", "b")
    for index in (2, 3):
        found, labels = both[index]
        np.testing.assert_array_equal(found, image)
        assert labels.shape == (6, 7)
        assert (labels == 254).all()
    assert (both[0][1] == 1).all()


def test_a_list_of_files(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((3, 3, 3), "uint8"))
    assert unlabelled([tmp_path / "b.png"], LABELLED).name_of(0) == "b"


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        unlabelled(tmp_path / "none", LABELLED)
    with pytest.raises(DataError, match="no images"):
        unlabelled(tmp_path, LABELLED)
    with pytest.raises(DataError, match="no such image"):
        unlabelled([tmp_path / "none.png"], LABELLED)
