import base64
import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from kseg.data import from_labelme
from kseg.errors import DataError


@pytest.fixture
def make(tmp_path):
    """``make(shape, ...)``: a LabelMe file of an image of 6x8."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8, 3), np.uint8))

    def write(*shapes, **changes):
        content = {
            "version": "5.0",
            "shapes": list(shapes),
            "imagePath": "a.png",
            "imageHeight": 6,
            "imageWidth": 8,
        }
        (tmp_path / "a.json").write_text(json.dumps({**content, **changes}))
        return tmp_path

    return write


def polygon(label="cat", points=((2, 1), (7, 1), (7, 4), (2, 4)), kind="polygon"):
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind}


BOX = np.zeros((6, 8), np.uint8)
BOX[1:4, 2:7] = 1


def test_polygons_rectangles_and_names(make):
    np.testing.assert_array_equal(from_labelme(make(polygon()))[0][1], BOX)
    np.testing.assert_array_equal(
        from_labelme(make(polygon(points=((7, 4), (2, 1)), kind="rectangle")))[0][1], BOX
    )
    dataset = from_labelme(
        make(polygon("dog"), polygon("cat", ((3, 2), (5, 2), (5, 3), (3, 3))), polygon("bird"))
    )
    assert dataset.classes == ("background", "bird", "cat", "dog")
    chosen = from_labelme(make(polygon("dog"), polygon("bird")), classes=["dog"])
    assert chosen.classes == ("background", "dog")
    np.testing.assert_array_equal(chosen[0][1], BOX)


def test_numbers_and_sizes_beyond_reason(make):
    far = 1e9
    square = ((-far, -far), (far, -far), (far, far), (-far, far))
    assert (from_labelme(make(polygon(points=square)))[0][1] == 1).all()
    assert (from_labelme(make(polygon(points=((4, 3), (far, 3)), kind="circle")))[0][1] == 1).all()
    with pytest.raises(DataError, match="points that are not pairs of numbers"):
        from_labelme(make(polygon(points=((0, 0), (10**400, 1), (2, 2)))))
    huge = {"imageHeight": 10**6, "imageWidth": 10**6}
    with pytest.raises(DataError, match="a mask for an image of 1000000x1000000 pixels"):
        from_labelme(make({**polygon(points=((0, 0), (1, 1)), kind="mask"), "mask": "AA=="}, **huge))


def test_ignored_and_background_labels(make):
    inner = ((3, 2), (5, 2), (5, 3), (3, 3))
    dataset = from_labelme(make(polygon(), polygon("__ignore__", inner)))
    assert dataset.classes == ("background", "cat")
    assert dataset[0][1][2, 3:5].tolist() == [255, 255]
    dataset = from_labelme(make(polygon(), polygon("_background_", inner)))
    assert dataset[0][1][2, 3:5].tolist() == [0, 0]


def test_circles_cover_their_area(tmp_path, make):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 90, 3), np.uint8))
    found = from_labelme(
        make(polygon(points=((45, 40), (65, 40)), kind="circle"), imageHeight=80, imageWidth=90)
    )
    assert found[0][1].sum() == pytest.approx(np.pi * 20**2, rel=0.02)


def test_masks_in_the_file(make):
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(file, "PNG")
    shape = {
        **polygon(points=((3, 2), (4, 3)), kind="mask"),
        "mask": base64.b64encode(file.getvalue()).decode(),
    }
    expected = np.zeros((6, 8), np.uint8)
    expected[2:4, 3:5] = [[0, 1], [1, 1]]
    np.testing.assert_array_equal(from_labelme(make(shape))[0][1], expected)
    with pytest.raises(DataError, match="not a PNG in base64"):
        from_labelme(make({**shape, "mask": "???"}))
    with pytest.raises(DataError, match="beyond the image"):
        from_labelme(make({**shape, "points": [[7, 5], [9, 7]]}))


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (polygon(kind="line"), r"shape 0 \(cat\): a line has no area"),
        (polygon(points=((1, 1), (2, 2))), "a polygon of 2 points"),
        (polygon(points=((1, 1),), kind="circle"), "a circle of 1 points"),
        ({"label": "cat", "points": [["a", 1], [2, 2], [3, 3]]}, "not pairs of numbers"),
        ({"points": []}, "shape 0: it has no label"),
    ],
)
def test_bad_shapes_are_named(make, shape, says):
    with pytest.raises(DataError, match=says) as caught:
        from_labelme(make(shape))
    assert "a.json" in str(caught.value)


def test_bad_files(make, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        from_labelme(make(polygon(), imagePath="no.png"))
    with pytest.raises(DataError, match="one lies on its side"):
        from_labelme(make(polygon(), imageHeight=8, imageWidth=6))[0]
    with pytest.raises(DataError, match="no shape has the label 'bird'"):
        from_labelme(make(polygon()), classes=["bird"])
    (tmp_path / "a.json").write_text('{"images": []}')
    with pytest.raises(DataError, match="not a LabelMe file"):
        from_labelme(tmp_path)
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match="no JSON files"):
        from_labelme(tmp_path)


def test_the_image_of_another_machine_lies_beside(make, tmp_path):
    dataset = from_labelme(make(polygon(), imagePath="C:\\photos\\a.png"))
    np.testing.assert_array_equal(dataset[0][1], BOX)
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "photos" / "a.png")
    np.testing.assert_array_equal(from_labelme(make(polygon()), images=tmp_path / "photos")[0][1], BOX)
