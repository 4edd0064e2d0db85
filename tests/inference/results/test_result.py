"""What a result says of a small image whose classes are known."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kseg.errors import DataError, SettingsError
from kseg.inference.results.result import Result

CLASSES, PALETTE = ("background", "road", "car"), ((0, 0, 0), (10, 200, 30), (200, 0, 9))
LABELS = np.zeros((20, 30), np.uint8)
LABELS[4:10, 5:25] = 1
LABELS[6:8, 8:12] = 0  # a hole in the road
LABELS[12:18, 20:28] = 2


@pytest.fixture
def result():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    probabilities = np.full((20, 30, 3), 0.1, np.float32)
    np.put_along_axis(probabilities, LABELS[..., None].astype(np.int64), 0.8, -1)
    return Result(image, probabilities, CLASSES, PALETTE, "photo.jpg")


def test_maps(result):
    np.testing.assert_array_equal(result.labels, LABELS)
    assert result.labels.dtype == np.uint8
    np.testing.assert_allclose(result.confidence, 0.8, rtol=1e-6)
    entropy = -(0.8 * np.log(0.8) + 2 * 0.1 * np.log(0.1))
    np.testing.assert_allclose(result.entropy, entropy, rtol=1e-5)


def test_entropy_where_classes_overlap():
    probabilities = np.random.default_rng(0).random((4, 5, 2)).astype(np.float32)
    result = Result(np.zeros((4, 5, 3), np.uint8), probabilities, CLASSES[1:], PALETTE[1:], multilabel=True)
    p = probabilities.astype(np.float64)
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(-1)
    np.testing.assert_allclose(result.entropy, expected, rtol=1e-5)


def test_areas_by_name(result):
    assert result.areas() == {"background": 600 - 112 - 48, "road": 112, "car": 48}
    assert list(result.areas()) == ["background", "road", "car"]
    assert "20x30" in repr(result)


def test_polygons_fill_to_the_labels(result):
    found = result.polygons()
    assert [(one["class"], one["area"], len(one["holes"])) for one in found] == [
        ("road", 112, 1),
        ("car", 48, 0),
    ]
    assert found[0]["score"] == pytest.approx(0.8)
    for one in found:
        canvas = Image.new("1", (300, 200))  # ten times as large: Pillow fills the outline's own pixels too
        draw = ImageDraw.Draw(canvas)
        draw.polygon([(10 * x, 10 * y) for x, y in one["exterior"]], fill=1)
        for hole in one["holes"]:
            draw.polygon([(10 * x, 10 * y) for x, y in hole], fill=0)
        np.testing.assert_array_equal(np.asarray(canvas)[5::10, 5::10], one["class_id"] == LABELS)


def test_boxes(result):
    boxes = {one["class"]: one["box"] for one in result.boxes()}
    assert boxes == {"road": (5, 4, 20, 6), "car": (20, 12, 8, 6)}
    assert len(result.boxes(["car", "background"])) == 3  # the outside and the hole are background
    assert result.boxes(least=50)[0]["class"] == "road"
    with pytest.raises(SettingsError, match="'tree'"):
        result.boxes(["tree"])


def test_coco(result):
    found = json.loads(json.dumps(result.to_coco()))
    assert found["images"] == [{"id": 1, "file_name": "photo.jpg", "width": 30, "height": 20}]
    assert [one["name"] for one in found["categories"]] == list(CLASSES)
    road, car = found["annotations"]
    assert (road["category_id"], road["area"], road["bbox"]) == (1, 112, [5, 4, 20, 6])
    counts, decoded, value = road["segmentation"]["counts"], [], 0
    for length in counts:
        decoded += [value] * length
        value = 1 - value
    np.testing.assert_array_equal(np.array(decoded).reshape(30, 20).T, LABELS == 1)
    xs, ys = car["segmentation"][0][::2], car["segmentation"][0][1::2]
    assert (min(xs), max(xs), min(ys), max(ys)) == (20, 28, 12, 18)


@pytest.mark.parametrize("transform", [None, (0.5, 0, 400000, 0, -0.5, 5700000), (2, 0, 0, 0, 3, 0)])
def test_geojson(result, transform):
    found = json.loads(json.dumps(result.to_geojson(transform)))
    a, _, c, _, e, f = transform or (1, 0, 0, 0, -1, 0)
    road, car = found["features"]
    assert road["properties"]["class"] == "road"
    for number, ring in enumerate(road["geometry"]["coordinates"]):
        assert ring[0] == ring[-1]
        x, y = np.array(ring).T
        area = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2
        assert (area > 0) == (number == 0)  # RFC 7946: outlines counter-clockwise, holes clockwise
        assert abs(area) == pytest.approx((120, 8)[number] * abs(a * e))
    x, y = np.array(car["geometry"]["coordinates"][0]).T
    np.testing.assert_allclose([x.min(), x.max()], [a * 20 + c, a * 28 + c])
    np.testing.assert_allclose(sorted([y.min(), y.max()]), sorted([e * 12 + f, e * 18 + f]))


def test_overlay_and_notebooks(result):
    bare = result.overlay(alpha=1, legend=False)
    np.testing.assert_array_equal(bare[LABELS == 2], np.broadcast_to(PALETTE[2], (48, 3)))
    np.testing.assert_array_equal(bare[LABELS == 0], result.image[LABELS == 0])
    assert result.overlay().shape[0] > 20
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        np.testing.assert_array_equal(np.asarray(shown), result.overlay())


def test_saved_by_the_ending(result, tmp_path):
    with Image.open(result.save(tmp_path / "m.png")) as mask:
        np.testing.assert_array_equal(np.asarray(mask), LABELS)
    with Image.open(result.save(tmp_path / "o.JPG")) as overlay:
        assert overlay.size[0] >= 30
    assert json.loads(result.save(tmp_path / "c.json").read_text()) == json.loads(
        json.dumps(result.to_coco())
    )
    assert json.loads(result.save(tmp_path / "g.geojson").read_text())["type"] == "FeatureCollection"
    rows = list(csv.DictReader(result.save(tmp_path / "a.csv").open()))
    assert [(row["class"], int(row["pixels"])) for row in rows] == list(result.areas().items())
    with np.load(result.save(tmp_path / "p.npz")) as saved:
        np.testing.assert_array_equal(saved["probabilities"], result.probabilities)
    with pytest.raises(SettingsError, match=r"\.geojson"):
        result.save(tmp_path / "x.txt")


def test_the_folder_is_made(result, tmp_path):
    for ending in ("png", "jpg", "json", "geojson", "csv", "npz"):
        path = tmp_path / ending / "new" / f"a.{ending}"
        assert result.save(path) == path
        assert path.stat().st_size > 0


def test_names_for_other_classes():
    with pytest.raises(DataError, match="3 classes"):
        Result(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.float32) / 3, ("a",), PALETTE)


@pytest.mark.parity
def test_cocos_own_tool_draws_the_labels_again():
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(9, 13, 4)).repeat(6, 0).repeat(5, 1).astype(np.float32)
    scores += rng.normal(0, 0.1, scores.shape)
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    image = np.zeros((*scores.shape[:2], 3), np.uint8)
    result = Result(image, probabilities.astype(np.float32), ("ground", "a", "b", "c"), ((0, 0, 0),) * 4)
    found = np.zeros(result.labels.shape, np.uint8)
    for each in result.to_coco()["annotations"]:
        runs = coco.frPyObjects(each["segmentation"], *found.shape)
        mask = coco.decode(runs[0] if isinstance(runs, list) else runs).astype(bool)
        assert mask.sum() == each["area"]
        found[mask] = each["category_id"]
    assert (found == result.labels).mean() >= 0.999


def test_arguments_are_checked(result):
    for call in (result.polygons, result.to_coco, result.to_geojson):
        for wrong in (-1, float("nan"), "2"):
            with pytest.raises(SettingsError, match="`tolerance` must be a number from 0 on"):
                call(tolerance=wrong)
        with pytest.raises(SettingsError, match="`least` must be a whole number from 0 on"):
            call(least=-1)
        with pytest.raises(SettingsError, match="No class 'cat'; there are background, road, car"):
            call(classes="cat")
    for wrong in ((1, 2), "abcdef", (1, 2, 3, 4, 5, "x"), range(7), (1, 2, 3, 4, 5, np.inf)):
        with pytest.raises(SettingsError, match="`transform` must be"):
            result.to_geojson(transform=wrong)
    assert [one["class"] for one in result.polygons(classes="car")] == ["car"]


def test_strong_simplification_keeps_every_region(result):
    boxes = [(one["class"], one["area"]) for one in result.boxes()]
    assert len(boxes) == 2
    assert [(one["class"], one["area"]) for one in result.polygons(tolerance=100)] == boxes
    assert len(result.to_geojson(tolerance=100)["features"]) == len(result.to_coco(100)["annotations"]) == 2


def test_a_transform_as_six_numbers_or_a_matrix(result):
    six = (2.0, 0, 100, 0, -2, 50)
    expected = result.to_geojson(six)
    for same in (np.array(six), (*six, 0, 0, 1), np.reshape((*six, 0, 0, 1), (3, 3))):
        assert result.to_geojson(same) == expected
