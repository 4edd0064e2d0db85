import cv2
import numpy as np
import pytest

from kseg.data import from_pairs, load
from kseg.data.class_list import read_classes
from kseg.errors import DataError, KsegWarning, SettingsError


def test_flat_folder(tmp_path, write):
    arrays = write.folder_pair(tmp_path, classes=4)
    dataset = load("folder", tmp_path)
    assert dataset.classes == ("class 0", "class 1", "class 2", "class 3")
    assert [dataset.name_of(i) for i in range(len(dataset))] == ["p0", "p1", "p2"]
    for index, (image, mask) in enumerate(arrays):
        np.testing.assert_array_equal(dataset.load(index)[0], image)
        np.testing.assert_array_equal(dataset.load(index)[1], mask)


def test_splits_share_their_classes(tmp_path, write):
    write.folder_pair(tmp_path, classes=2, split="train")
    write.folder_pair(tmp_path, classes=5, split="val")
    assert load("folder", tmp_path, "train").num_classes == load("folder", tmp_path, "val").num_classes == 5
    with pytest.raises(DataError, match=r"images: no split 'test'; found train, val"):
        load("folder", tmp_path, "test")


def test_endings_may_differ(tmp_path, write):
    write.folder_pair(tmp_path, count=4)
    for index, suffix in enumerate([".jpg", ".BMP", ".webp", ".jpeg"]):
        path = tmp_path / "images" / f"p{index}.png"
        data = cv2.imencode(suffix.lower(), cv2.imread(str(path)))[1].tobytes()
        path.with_suffix(suffix).write_bytes(data)
        path.unlink()
    (tmp_path / "images" / "notes.txt").write_text("not a picture")
    assert [path.image.suffix for path in load("folder", tmp_path).samples] == [
        ".jpg",
        ".BMP",
        ".webp",
        ".jpeg",
    ]


def test_class_names_and_colours(tmp_path, write):
    write.folder_pair(tmp_path, count=1, size=(1, 3))
    (tmp_path / "classes.txt").write_text("road\n\nold tree 0 128 0\ncar, 200, 10, 10\nignore 255 255 255\n")
    picture = np.array([[[0, 128, 0], [200, 10, 10], [255, 255, 255]]], np.uint8)
    cv2.imwrite(str(tmp_path / "masks" / "p0.png"), picture[..., ::-1])
    dataset = load("folder", tmp_path)
    assert dataset.classes == ("road", "old tree", "car")
    assert dataset.palette == ((0, 0, 0), (0, 128, 0), (200, 10, 10))
    np.testing.assert_array_equal(dataset.load(0)[1], [[1, 2, 255]])


@pytest.mark.parametrize(
    "text", ["a\na\n", "a 1 2 3\nb 1 2 3\n", "a 1 2 300\n", "", "ignore 0 0 0", "a\nignore\n"]
)
def test_bad_class_lists(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"classes\.txt"):
        read_classes(tmp_path / "classes.txt")


def test_class_lists_of_other_programs(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes("\N{ZERO WIDTH NO-BREAK SPACE}road\r\nStraße 1 2 ²\r\n".encode())
    assert read_classes(path)[0] == ("road", "Straße 1 2 ²")
    path.write_bytes("Straße".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes\.txt: not a text in UTF-8"):
        read_classes(path)
    path.write_text("\n".join(f"c{index}" for index in range(256)))
    with pytest.raises(DataError, match="256 classes"):
        read_classes(path)


def test_the_present_folder_has_a_name(tmp_path, write, monkeypatch):
    write.folder_pair(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert load("folder", ".").name == "mine"


def test_missing_and_empty_folders(tmp_path, write):
    with pytest.raises(DataError, match=r"nowhere: the folder does not exist; expected"):
        load("folder", tmp_path / "nowhere")
    with pytest.raises(DataError, match="x: the folder does not exist; expected"):
        load("folder", "x" * 5000)
    with pytest.raises(DataError, match="give root"):
        load("folder")
    with pytest.raises(DataError, match=r"expected the folders images/ and masks/, and found nothing"):
        load("folder", tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"images: no images found; expected files ending in \.png"):
        load("folder", tmp_path)


def test_picture_without_mask_and_twins(tmp_path, write):
    write.folder_pair(tmp_path)
    cv2.imwrite(str(tmp_path / "images" / "p1.jpg"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"p1\.jpg and p1\.png: two files of the same name"):
        load("folder", tmp_path)
    (tmp_path / "images" / "p1.jpg").unlink()
    for name in ("p1.png", "p2.png"):
        (tmp_path / "masks" / name).unlink()
    with pytest.raises(DataError, match=r"p1\.png: no mask found; expected .*p1\.png \(and 1 more"):
        load("folder", tmp_path)


def test_splits_to_predict_need_no_masks(tmp_path, write):
    write.folder_pair(tmp_path, split="train", classes=4)
    (tmp_path / "images" / "test").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "test" / "new.png"), np.zeros((4, 4, 3), np.uint8))
    assert load("folder", tmp_path).num_classes == 4
    with pytest.raises(DataError, match=r"masks.test: the folder does not exist"):
        load("folder", tmp_path, "test")


def test_masks_of_0_and_255_are_not_taken_for_ignored(tmp_path, write):
    write.folder_pair(tmp_path, count=1)
    cv2.imwrite(str(tmp_path / "masks" / "p0.png"), np.array([[0, 255]], np.uint8))
    with pytest.raises(DataError, match="only 0 and 255"):
        load("folder", tmp_path)


@pytest.mark.realdata
def test_people(real_data):
    dataset = load("folder", real_data / "ccp_people")
    assert (len(dataset), dataset.num_classes) == (1004, 2)
    assert set(np.unique(dataset.load(0)[1])) == {0, 1}


def two_values(root, *masks, classes=None):
    for index, mask in enumerate(masks):
        for part, array in (("images", np.zeros((2, 3, 3), np.uint8)), ("masks", np.array(mask, np.uint8))):
            (root / part).mkdir(exist_ok=True)
            cv2.imwrite(str(root / part / f"{index}.png"), array)
    if classes is not None:
        (root / "classes.txt").write_text(classes)
    return root


OBJECT, EMPTY, WITH_ONE = [[0, 255, 255], [0, 0, 255]], [[0, 0, 0], [0, 0, 0]], [[0, 1, 255], [0, 0, 255]]


@pytest.mark.parametrize(
    "classes",
    ["background\nperson\n", "background 0 0 0\nperson\n", "background 0 0 0\nperson 255 255 255\n"],
)
def test_0_and_255_with_two_declared_classes_are_0_and_1(tmp_path, classes):
    dataset = load("folder", two_values(tmp_path, EMPTY, OBJECT, classes=classes))
    np.testing.assert_array_equal(dataset.load(1)[1], [[0, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(dataset.load(0)[1], EMPTY)


def test_255_stays_ignored_where_a_mask_has_class_1(tmp_path):
    dataset = load("folder", two_values(tmp_path, OBJECT, WITH_ONE, classes="background\nperson\n"))
    np.testing.assert_array_equal(dataset.load(0)[1], OBJECT)


def test_255_declared_as_ignored_stays_so(tmp_path):
    dataset = load(
        "folder", two_values(tmp_path, OBJECT, classes="background 0 0 0\nperson 9 9 9\nignore 255 255 255\n")
    )
    np.testing.assert_array_equal(dataset.load(0)[1], OBJECT)


def test_0_and_255_with_three_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match="only 0 and 255"):
        load("folder", two_values(tmp_path, EMPTY, OBJECT, classes="a\nb\nc\n"))


@pytest.mark.parametrize(("classes", "name"), [("person\n", "background"), ("background 9 9 9\n", "not background")])
def test_a_class_list_of_one_class_gets_the_background(tmp_path, classes, name):
    dataset = load("folder", two_values(tmp_path, EMPTY, OBJECT, classes=classes))
    assert dataset.classes == (name, classes.split()[0])
    np.testing.assert_array_equal(dataset.load(1)[1], [[0, 1, 1], [0, 0, 1]])
    dataset = load("folder", two_values(tmp_path, EMPTY, WITH_ONE, classes=classes))
    np.testing.assert_array_equal(dataset.load(1)[1], WITH_ONE)


def test_masks_drawn_in_the_colour_of_one_class(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[:, 3:] = (30, 20, 10)  # blue, green, red
        cv2.imwrite(str(tmp_path / part / "a.png"), pixels)
    (tmp_path / "classes.txt").write_text("crack 10 20 30\n")
    dataset = load("folder", tmp_path)
    assert dataset.palette == ((0, 0, 0), (10, 20, 30))
    np.testing.assert_array_equal(dataset.load(0)[1], [[0, 0, 0, 1, 1, 1]] * 4)


def test_what_is_left_out_is_warned_of(tmp_path, write):
    write.folder_pair(tmp_path, count=2, split="train")
    cv2.imwrite(str(tmp_path / "images" / "beside.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "images/train/new.heic").write_bytes(b"x")
    with pytest.warns(
        KsegWarning, match=r"2 images of 'train' are used, and 2 file.s. left out: .*new\.heic: .*beside\.png"
    ):
        assert len(load("folder", tmp_path)) == 2


def test_samples_in_subfolders_have_names_of_their_own(tmp_path, write):
    write.folder_pair(tmp_path, count=2, split="train/a")
    write.folder_pair(tmp_path, count=2, split="train/b", seed=1)
    dataset = load("folder", tmp_path)
    assert [dataset.name_of(i) for i in range(4)] == ["a_p0", "a_p1", "b_p0", "b_p1"]


def test_from_pairs_of_lists_and_folders(tmp_path, write):
    arrays = write.folder_pair(tmp_path, classes=3)
    images, masks = (sorted((tmp_path / part).iterdir()) for part in ("images", "masks"))
    for dataset in (
        from_pairs(map(str, images), map(str, masks)),
        from_pairs(images, masks, classes=["a", "b", "c"]),
        from_pairs(str(tmp_path / "images"), tmp_path / "masks", classes=3),
    ):
        assert dataset.num_classes == 3
        for found, expected in zip(dataset, arrays, strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_from_pairs_in_colours(tmp_path, write):
    write.folder_pair(tmp_path, count=1, size=(1, 3))
    colours = np.array([[[0, 128, 0], [200, 10, 10], [255, 255, 255]]], np.uint8)
    cv2.imwrite(str(tmp_path / "masks" / "p0.png"), colours[..., ::-1])
    (tmp_path / "list.csv").write_text("name,r,g,b\ntree,0,128,0\ncar,200,10,10\nignore,255,255,255\n")
    images, masks = [tmp_path / "images/p0.png"], [tmp_path / "masks/p0.png"]
    by_name = {"tree": (0, 128, 0), "car": (200, 10, 10), "ignore": (255, 255, 255)}
    for settings in (
        {"classes": tmp_path / "list.csv"},
        {"classes": ["tree", "car"], "colours": by_name},
        {"colours": by_name},  # the names are the classes
        {"classes": ["tree", "car"], "colours": {"tree": "#008000", "car": "#c80a0a", "ignore": "white"}},
        {"colours": {"tree": "green", "car": np.array([200, 10, 10]), "ignore": "white"}},
        {"classes": ["tree", "car", "sky"], "colours": [tuple(colours[0, i]) for i in range(3)]},
    ):
        dataset = from_pairs(images, masks, **settings)
        np.testing.assert_array_equal(dataset[0][1], [[0, 1, 2 if "sky" in dataset.classes else 255]])
        assert dataset.palette[:2] == ((0, 128, 0), (200, 10, 10))


def test_from_pairs_in_black_and_white(tmp_path, write):
    write.folder_pair(tmp_path, count=2, size=(1, 3))
    for index in range(2):
        cv2.imwrite(str(tmp_path / "masks" / f"p{index}.png"), np.array([[0, 255, 255 * index]], np.uint8))
    with pytest.warns(KsegWarning, match="255 is taken for class 1, car"):
        dataset = from_pairs(tmp_path / "images", tmp_path / "masks", ["road", "car"])
    np.testing.assert_array_equal(np.concatenate([mask for _, mask in dataset]), [[0, 1, 0], [0, 1, 1]])
    dataset = from_pairs(tmp_path / "images", tmp_path / "masks", ["road", "car"], ignore_label=255)
    np.testing.assert_array_equal(dataset[0][1], [[0, 255, 0]])


def test_from_pairs_refuses(tmp_path, write):
    write.folder_pair(tmp_path, count=2)
    images, masks = (sorted((tmp_path / part).iterdir()) for part in ("images", "masks"))
    with pytest.raises(DataError, match="2 images and 1 masks"):
        from_pairs(images, masks[:1])
    with pytest.raises(DataError, match="no such file"):
        from_pairs(images, [masks[0], tmp_path / "no.png"])
    with pytest.raises(DataError, match="does not exist"):
        from_pairs(tmp_path / "nowhere", tmp_path / "masks")
    for wrong in ("#12", (1, 2), (1, 2, 300)):
        with pytest.raises(SettingsError, match="the colour of 'b' must be a colour of three whole numbers"):
            from_pairs(images, masks, colours={"a": "black", "b": wrong})
    with pytest.raises(DataError, match=r"'a' and 'b' have the same colour, \(0, 0, 0\)"):
        from_pairs(images, masks, colours={"a": "black", "b": (0, 0, 0)})
    with pytest.raises(DataError, match="the class 'a' is there twice"):
        from_pairs(images, masks, classes=["a", "a"])
    with pytest.raises(DataError, match="2 colours for 3 classes"):
        from_pairs(images, masks, classes=3, colours=[(0, 0, 0), (1, 1, 1)])
