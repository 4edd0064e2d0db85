import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

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
