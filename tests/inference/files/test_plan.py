"""Names of results: all different, none too long."""

import os

import pytest

from kseg.inference.files.plan import plan


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_duplicate_stems_get_distinct_names(tmp_path):
    files = ("in/a.png", "in/a.jpg", "in/b.png", "x/c.png", "y/c.png", "x/d.png", "y/D.jpg")
    expected = ("a_png.png", "a_jpg.png", "b.png", "x_c.png", "y_c.png", "d_png.png", "D_jpg.png")
    paths = [save(tmp_path / name) for name in files]
    for order in (paths, paths[::-1]):
        jobs = {job.image: job.mask.name for job in plan(order, tmp_path / "out")}
        assert tuple(jobs[path] for path in paths) == expected


def test_names_that_collide_with_made_up_names(tmp_path):
    files = ("a.png", "a.jpg", "a_png.bmp", "1/x/e.png", "2/x/e.png", "3/x/e.png")
    paths = [save(tmp_path / name) for name in files]
    masks = [job.mask.name.casefold() for job in plan(paths, tmp_path / "out")]
    assert len(set(masks)) == len(paths)


@pytest.mark.parametrize(
    "stem", ["b" * 246, "界" * 82, "b" * 251, "b" * 250 + "é"[:0], os.fsdecode(b"\xe9" * 200)]
)
def test_long_names_stay_within_what_file_systems_take(tmp_path, stem):
    paths = [save(tmp_path / "in" / f"{stem[:-1]}{end}.png") for end in "xy"]
    jobs = plan(paths, tmp_path)
    files = [path.name for job in jobs for path in (job.mask, job.overlay)]
    assert len(set(files)) == 4
    assert all(len(os.fsencode(name)) <= 255 for name in files)
    assert [job.mask.name for job in jobs] == [path.name for path in paths]  # what fits keeps its name
