"""The same two classes in every form that people and programs write them; anything else is refused by line."""

import pytest

from kseg.data.class_list import class_names, find_class_list, mask_colours_of, read_classes
from kseg.errors import DataError

NAMES = ("road", "car")
COLOURS = {"road": (1, 2, 3), "car": (255, 5, 6)}

WITH_COLOURS = {
    "spaces": "road 1 2 3\ncar 255 5 6\n",
    "tabs": "road\t1\t2\t3\ncar\t255\t5\t6\n",
    "commas": "road,1,2,3\ncar, 255, 5, 6\n",
    "semicolons": "road;1;2;3\ncar;255;5;6\n",
    "colons": "road: 1 2 3\ncar: 255, 5, 6\n",
    "CVAT": "# label:color_rgb:parts:actions\nroad:1,2,3::\ncar:255,5,6:wheel,door:turn\n",
    "CamVid's class_dict.csv": "name,r,g,b\nroad,1,2,3\ncar,255,5,6\n",
    "CamVid's label_colors.txt": "1 2 3\t\troad\n255 5 6\tcar\n",
    "header with spaces": "Name R G B\nroad 1 2 3\ncar 255 5 6\n",
    "colours first, with header": "red;green;blue;class\n1;2;3;road\n255;5;6;car\n",
    "ids": "0 road 1 2 3\n1 car 255 5 6\n",
    "ids and colours first": "0 1 2 3 road\n1 255 5 6 car\n",
    "ids in another order": "id,name,r,g,b\n1,car,255,5,6\n0,road,1,2,3\n",
    "more columns": "name,r,g,b,class_11\nroad,1,2,3,1\ncar,255,5,6,0\n",
    "hexadecimal": "road #010203\ncar #ff0506\n",
    "hexadecimal in front": "#010203 road\n#FF0506\tcar\n",
    "hexadecimal with 0x": "road 0x010203\ncar 0xFF0506\n",
    "header and hexadecimal": "class,color\nroad,#010203\ncar,#ff0506\n",
    "rgb()": "road rgb(1,2,3)\ncar rgb(255, 5, 6)\n",
    "tuples": "road (1, 2, 3)\ncar [255,5,6]\n",
    "comments": "// mine\n# two\nroad 1 2 3  # the grey one\n\n; more\ncar 255 5 6\n",
    "quotes": "\"road\",1,2,3\n'car' 255 5 6\n",
    "JSON": '{"road": [1, 2, 3], "car": "#ff0506"}',
    "JSON objects": '[{"id": 1, "name": "car", "color": [255, 5, 6]}, {"id": 0, "name": "road", "color": [1, 2, 3]}]',
}
NAMES_ALONE = {
    "plain": "road\ncar\n",
    "Windows": "road\r\ncar\r\n",
    "no end of line": "road\ncar",
    "blank lines": "\n\nroad\n   \ncar\n\n",
    "header": "Class\nroad\ncar\n",
    "ids in front": "0 road\n1 car\n",
    "ids with colons": "0: road\n1: car\n",
    "ids behind": "car,1\nroad,0\n",
    "a list in YAML": "- road\n- car\n",
    "JSON": '["road", "car"]',
    "JSON by id": '{"0": "road", "1": "car"}',
    "COCO": '{"images": [], "categories": [{"id": 0, "name": "road"}, {"id": 1, "name": "car"}]}',
    "Python": "['road', 'car']",
    "quotes": '"road",\n"car",\n',
    "ignored without a colour": "0 road\n1 car\n255 ignore\n",
}
REFUSED = {
    "ids from 1 on": ("1 road\n2 car\n", "line 1"),
    "a gap": ("0 road\n1 car\n3 sky\n", "line 3"),
    "the same id twice": ("0 road\n0 car\n", "line 2"),
    "two numbers": ("road 1 2 3\ncar 255 5\n", "line 2"),
    "four numbers": ("road 1 2 3 4\n", "line 1"),
    "fractions": ("road 0.5 0.2 0.1\n", "line 1"),
    "above 255": ("road\ncar 1 2 300\n", "line 2"),
    "negative": ("road -1 2 3\n", "line 1"),
    "other notations": ("road\ncar hsl(1,2,3)\n", "line 2"),
    "rgba": ("road rgba(1,2,3,0.5)\n", "line 1"),
    "bad digits": ("road #zz0203\n", "line 1"),
    "label map": ("item {\n  id: 1\n  name: 'road'\n}\n", "line 1"),
    "all in one line": ("road, car, sky\n", "line 1"),
    "keys": ("name: road\nname: car\n", "line 1"),
    "missing field": ("name,r,g,b\nroad,1,2,3\ncar,1,2\n", "line 3"),
    "a name twice": ("road\ncar\nroad\n", "line 3"),
    "a colour twice": ("road 1 2 3\ncar 1 2 3\n", "line 2"),
    "ignore without a colour": ("road\nignore\n", "line 2"),
    "nothing": ("", "no class names"),
    "comments alone": ("# road\n# car\n", "no class names"),
    "JSON of something else": ('{"version": "5.0", "shapes": []}', "entry 0"),
    "JSON cut short": ('["road", "car"', "neither JSON"),
    "numbers alone": ("1 2 3\n4 5 6\n", "line 1"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "classes.txt"


@pytest.mark.parametrize("form", WITH_COLOURS)
def test_names_and_colours(path, form):
    path.write_bytes(WITH_COLOURS[form].encode())
    assert read_classes(path) == (NAMES, COLOURS)


@pytest.mark.parametrize("form", NAMES_ALONE)
def test_names(path, form):
    path.write_bytes(NAMES_ALONE[form].encode())
    assert read_classes(path) == (NAMES, {})


@pytest.mark.parametrize("form", REFUSED)
def test_refused_by_file_and_line(path, form):
    text, where = REFUSED[form]
    path.write_text(text)
    with pytest.raises(DataError, match=rf"classes\.txt.*{where}|{where}") as caught:
        read_classes(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(path, encoding):
    path.write_bytes("road 1 2 3\r\nStraße\r\n".encode(encoding))
    assert read_classes(path) == (("road", "Straße"), {"road": (1, 2, 3)})


@pytest.mark.parametrize(
    "names",
    [
        ("class 0", "class 1"),
        ("3d object", "2 wheeler", "bus"),
        ("traffic light", "old tree"),
        ("boeing 737", "airbus 320"),
        ("red", "green", "blue"),
        ("C# code", "car (parked)"),
    ],
)
def test_names_that_look_like_something_else(path, names):
    path.write_text("\n".join(names))
    assert read_classes(path)[0] == names


@pytest.mark.parametrize(
    "text",
    [
        "names:\n  0: road\n  1: car\n",
        "path: ../data\nnc: 2\nnames: [road, 'car']\n",
        "train: a\nclasses:\n- road\n- car\nval: b\n",
    ],
)
def test_plain_yaml(tmp_path, text):
    (tmp_path / "classes.yaml").write_text(text)
    assert read_classes(tmp_path / "classes.yaml") == (NAMES, {})


def test_which_file_is_the_list(tmp_path):
    assert find_class_list(tmp_path) is None
    (tmp_path / "labelmap.txt").write_text("road\n")
    assert find_class_list(tmp_path).name == "labelmap.txt"
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\n")
    with pytest.raises(DataError, match=r"class_dict\.csv and labelmap\.txt"):
        find_class_list(tmp_path)
    (tmp_path / "classes.txt").write_text("road\n")
    assert find_class_list(tmp_path).name == "classes.txt"


def test_colours_become_pairs_with_ids():
    pairs = mask_colours_of(NAMES, {**COLOURS, "ignore": (9, 9, 9)})
    assert pairs == (((1, 2, 3), 0), ((255, 5, 6), 1), ((9, 9, 9), 255))


def test_as_many_classes_as_ids(path):
    path.write_text("\n".join(f"c{index}" for index in range(255)))
    assert len(read_classes(path)[0]) == 255
    path.write_text("\n".join(f"c{index}" for index in range(256)))
    with pytest.raises(DataError, match="256 classes"):
        read_classes(path)


@pytest.mark.parametrize("classes", [{"car", "road"}, {"car": 1, "road": 0}, "road"])
def test_names_whose_order_is_not_that_of_the_ids_are_refused(classes):
    with pytest.raises(DataError, match="mine: classes are a list of names in the order of their ids, or a number"):
        class_names(classes, "mine")
    assert class_names(["road", "car"], "mine") == ("road", "car")
    assert len(class_names(3, "mine")) == 3
