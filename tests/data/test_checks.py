import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import kseg
from kseg.data import check, load
from kseg.errors import DataError, SettingsError


def kinds(findings, fatal=True):
    return sorted(finding.kind for finding in findings.findings if finding.fatal == fatal)


def test_sound_folder(tmp_path, write):
    arrays = write.folder_pair(tmp_path, classes=3)
    findings = check(tmp_path)
    assert findings.ok
    assert findings.findings == ()
    assert findings.samples == 3
    expected = np.bincount(np.concatenate([mask.ravel() for _, mask in arrays]), minlength=3)
    np.testing.assert_array_equal(findings.pixels, expected)
    assert findings.images == (3, 3, 3)
    assert findings.ignored == 0


def test_everything_wrong_at_once(tmp_path, write):
    write.folder_pair(tmp_path, count=9)
    images, masks = tmp_path / "images", tmp_path / "masks"
    (masks / "p0.png").unlink()
    (images / "p1.png").unlink()
    cv2.imwrite(str(masks / "p2.png"), np.zeros((20, 25), np.uint8))
    cv2.imwrite(str(masks / "p3.png"), np.full((20, 24), 7, np.uint8))
    data = (images / "p4.png").read_bytes()
    (images / "p4.png").write_bytes(data[: len(data) // 2])
    (images / "p5.png").write_bytes(write.huge_png(40000, 40000))
    cv2.imwrite(str(masks / "p6.png"), np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8))
    (masks / "p7.png").write_text("no image")
    (tmp_path / "classes.txt").write_text("a\nb\nc\nnever\n")
    findings = check(tmp_path)
    assert not findings.ok
    assert kinds(findings) == [
        "empty class", "huge", "no image", "no mask", "palette", "size", "unknown class", "unreadable", "unreadable",
    ]  # fmt: skip
    assert (findings.samples, findings.found) == (1, 8)
    for finding in findings.findings[:8]:
        assert finding.file in finding.message
    by_kind = {finding.kind: finding for finding in findings.findings}
    assert "class id 7 (480 pixels), but the classes are 0 to 2"[:30] in by_kind["unknown class"].message
    assert "20x25" in by_kind["size"].message
    assert "never" in by_kind["empty class"].message


def test_number_of_classes_given(tmp_path, write):
    write.folder_pair(tmp_path, classes=3)
    assert kinds(check(tmp_path, num_classes=2)) == ["unknown class"] * 3
    assert kinds(check(tmp_path, num_classes=4)) == ["empty class"]


def test_more_classes_than_ids(tmp_path, write):
    write.folder_pair(tmp_path)
    with pytest.raises(SettingsError, match="whole number from 1 to 255; got 300"):
        check(tmp_path, num_classes=300)


def test_another_ignored_label(tmp_path, write):
    write.folder_pair(tmp_path, classes=3)
    dataset = load("folder", tmp_path)
    two = replace(dataset, classes=dataset.classes[:2], palette=dataset.palette[:2], ignore_label=2)
    findings = check(two)
    assert findings.ok
    assert findings.ignored > 0
    assert re.search(r"^ +2  \(ignored\)", findings.table(), re.MULTILINE)


def test_every_missing_file_of_a_listed_data_set_is_named(tmp_path, write):
    write.folder_pair(tmp_path, count=4)
    for path in (tmp_path / "masks" / "p1.png", tmp_path / "masks" / "p2.png"):
        path.unlink()
    dataset = load("camvid", tmp_path, complete=False)
    (tmp_path / "images" / "p3.png").unlink()
    found = check(dataset)
    named = {(finding.kind, Path(finding.file).name) for finding in found.findings if finding.fatal}
    assert named == {("no mask", "p1.png"), ("no mask", "p2.png"), ("no image", "p3.png")}


def test_masks_that_are_no_class_ids(tmp_path, write):
    write.folder_pair(tmp_path, count=2)
    for values in ([[0, 255]], [[0, 128, 100]]):
        for name in ("p0.png", "p1.png"):
            cv2.imwrite(str(tmp_path / "masks" / name), np.array(values, np.uint8))
            cv2.imwrite(str(tmp_path / "images" / name), np.zeros((1, len(values[0]), 3), np.uint8))
        assert kinds(check(tmp_path)) == ["palette"]


def test_palettes_that_differ(tmp_path, write):
    write.folder_pair(tmp_path, count=2)
    mask = np.zeros((20, 24), np.uint8)
    mask[3:] = 1
    for name, colour in (("p0.png", 0), ("p1.png", 200)):
        (tmp_path / "masks" / name).write_bytes(write.indexed_png(mask, [(colour, 0, 0), (90, 90, 90)]))
    findings = check(tmp_path)
    assert findings.ok
    assert kinds(findings, fatal=False) == ["palette"]


def test_named_data_set_uses_its_own_ids(tmp_path, write, shapes_cache):
    write.folder_pair(tmp_path, classes=12, split="train")
    findings = check(load("camvid", tmp_path))
    assert findings.ok
    assert findings.ignored > 0
    assert len(findings.pixels) == 11
    findings = check(load("shapes", shapes_cache, "val"))
    assert findings.ok
    assert sum(findings.pixels) == 6 * 128 * 128


def test_all_splits_and_progress(tmp_path, write):
    write.folder_pair(tmp_path, count=2, split="train")
    write.folder_pair(tmp_path, count=1, split="val")
    calls = []
    assert check(tmp_path, on_sample=lambda done, total: calls.append((done, total))).samples == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "masks/val/p0.png").unlink()
    (tmp_path / "masks/val").rmdir()
    assert kinds(check(tmp_path)) == ["no folder"]


def test_table_and_json(tmp_path, write):
    write.folder_pair(tmp_path, count=2, size=(10, 10), classes=2)
    cv2.imwrite(str(tmp_path / "masks/p1.png"), np.full((10, 10), 255, np.uint8))
    (tmp_path / "classes.txt").write_text("wall\ndoor\n")
    findings = check(tmp_path)
    read = json.loads(json.dumps(findings.to_json()))
    assert [found["kind"] for found in read["findings"]] == ["all ignored"]
    assert read["ignored"] == 100
    assert read["pixels"] == list(findings.pixels)
    table = findings.table()
    assert "1 of 2 images can be used, 1 problem(s)" in table
    assert "door" in table
    assert "50.00%" in table


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        check(tmp_path / "nowhere")
    with pytest.raises(DataError, match="images/ and masks/"):
        check(tmp_path)


def six_channels(root, *, values=(0, 10000), count=4):
    """`.npy` images of six channels and masks of two classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(*values, (count, 10, 12, 6)).astype(np.uint16)
    for part in ("images", "masks"):
        (root / part).mkdir()
    for number, image in enumerate(images):
        np.save(root / "images" / f"{number}.npy", image)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), (image[..., 0] > 5000).astype(np.uint8))
    (root / "channels.json").write_text(json.dumps({"channels": 6, "value_range": [0, 10000]}))
    return images


def test_a_folder_of_six_channels(tmp_path):
    images = six_channels(tmp_path)
    findings = check(tmp_path)
    assert (findings.ok, findings.samples, findings.found) == (True, 4, 4)
    assert findings.value_range == (0, 10000)
    pixels = images.reshape(-1, 6).astype(np.float64)
    found = [(one.lowest, one.highest, one.mean, one.std) for one in findings.channels]
    np.testing.assert_allclose(found, np.stack([pixels.min(0), pixels.max(0), pixels.mean(0), pixels.std(0)], 1))
    assert len(json.loads(json.dumps(findings.to_json()))["channels"]) == 6
    data = kseg.data.from_arrays(images, images[..., 0] > 5000, 2, channels=6, value_range=(0, 10000))
    assert check(data).channels == findings.channels


def test_faults_of_six_channels(tmp_path):
    images = six_channels(tmp_path)
    np.save(tmp_path / "images/0.npy", images[0, ..., :5])
    np.save(tmp_path / "images/1.npy", images[1] + 10000)
    np.save(tmp_path / "images/2.npy", np.where(images[2] > 9, np.nan, 0))
    (tmp_path / "masks/3.png").unlink()
    findings = check(tmp_path)
    told = {finding.file.rpartition("/")[2]: finding.message for finding in findings.findings if finding.fatal}
    assert "expected (height, width, 6)" in told["0.npy"]
    assert "expected 0 to 10000" in told["1.npy"]
    assert "NaN" in told["2.npy"]
    assert "no mask" in told["3.npy"]
    assert (findings.samples, findings.found) == (0, 4)
    (tmp_path / "channels.json").write_text("[6]")
    assert "channels" in kinds(check(tmp_path))


def test_overlapping_classes_in_folders(tmp_path, write):
    write.folder_pair(tmp_path, count=4, classes=2)
    band = tmp_path / "masks" / "band"
    disk = tmp_path / "masks" / "disk"
    band.mkdir()
    disk.mkdir()
    for number in range(4):
        (tmp_path / "masks" / f"p{number}.png").rename(disk / f"p{number}.png")
        cv2.imwrite(str(band / f"p{number}.png"), np.tri(20, 24, dtype=np.uint8))
    (tmp_path / "classes.txt").write_text("disk\nband\n")
    findings = check(tmp_path)
    assert (findings.findings, findings.samples, findings.found, findings.area) == ((), 4, 4, 4 * 480)
    disks = sum(int(cv2.imread(str(path), 0).sum()) for path in disk.iterdir())
    assert findings.pixels == (disks, 4 * int(np.tri(20, 24).sum()))
    (band / "p0.png").unlink()
    cv2.imwrite(str(band / "p1.png"), np.full((20, 24), 9, np.uint8))
    cv2.imwrite(str(band / "p2.png"), np.ones((20, 25), np.uint8))
    findings = check(tmp_path)
    assert kinds(findings) == ["no mask", "size", "unknown class"]
    assert findings.samples == 1
    assert "p1.png, mask of band: class id 9 (480 pixels), but the mask of a class that overlaps holds 0 and 1" in str(
        findings.findings
    )
    (tmp_path / "classes.txt").write_text("disk\nband\nring\n")
    assert any("masks/ring: no such folder, though disk has one" in one.message for one in check(tmp_path).findings)
    (tmp_path / "classes.txt").unlink()
    assert any("name them in classes.txt" in one.message for one in check(tmp_path).findings)


def test_one_class_beside_the_background(tmp_path, write):
    write.folder_pair(tmp_path, count=3, classes=2)
    assert check(tmp_path, num_classes=1).ok
    (tmp_path / "classes.txt").write_text("crack\n")
    findings = check(tmp_path)
    assert (findings.ok, findings.classes) == (True, ("background", "crack"))
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), 0) * 255)
    assert check(tmp_path).pixels == findings.pixels
    assert check((np.zeros((1, 4, 4, 3), "uint8"), np.tri(4, dtype="uint8")[None]), num_classes=1).ok
