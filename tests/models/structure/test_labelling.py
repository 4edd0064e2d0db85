import pytest

from kseg.errors import SettingsError
from kseg.models.structure.labelling import Labelling


def test_one_channel_has_two_names_unless_classes_overlap():
    labelling = Labelling(1)
    labelling.classes = ["ground", "disk"]
    assert labelling.classes == ("ground", "disk")
    with pytest.raises(SettingsError, match="needs 2 entries"):
        labelling.palette = [(0, 0, 0)]
    labelling.multilabel = True
    labelling.classes = ["disk"]
    assert labelling.to_config()["multilabel"] is True


def test_what_is_saved():
    labelling = Labelling(3)
    assert labelling.to_config() == {"classes": None, "palette": None, "working_size": None}
    labelling.palette, labelling.working_size = [[1, 2, 3], "#010203", (1, 2, 3)], [4, 5]
    assert labelling.to_config() == {"classes": None, "palette": ((1, 2, 3),) * 3, "working_size": (4, 5)}


def test_what_is_no_list_of_names_or_colours():
    labelling = Labelling(3)
    with pytest.raises(SettingsError, match="`classes` must be a list of names, one a class; got 'cat'"):
        labelling.classes = "cat"
    for classes in ({"cat", "dog", "cow"}, {"dog": 1, "cat": 0, "cow": 2}):
        with pytest.raises(SettingsError, match="`classes` must be a list in the order of the class ids"):
            labelling.classes = classes
    with pytest.raises(SettingsError, match="a colour of `palette` must be a colour of three whole numbers"):
        labelling.palette = [(0, 0, 0), (1, 1, 1), (0, 0, 256)]
