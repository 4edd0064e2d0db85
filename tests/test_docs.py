"""Every code block of README and docs runs on small data; links lead somewhere.

A page's blocks run one after another in one folder that holds what its reader would have: `my_data` (a labelled
folder), `photo.jpg`, `photos/`, `clip.mp4`, and a trained `runs/mine/best.keras`. Python blocks of a page share their
names. Before a block, `<!-- only parsed: reason -->` has its `kseg` commands parsed and not run,
`<!-- not run: reason -->` leaves it out, and `<!-- needs PACKAGE -->` where the package is not installed. Settings
that make trainings short are added to `kseg train`.
"""

import importlib.util
import re
import runpy
import shlex
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from kseg.cli.main import build_parser, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.is_file()]
BLOCK = re.compile(r"(?:<!-- ([^>]*?) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHORT = ("--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "2", "--size", "64", "64")


class Block(NamedTuple):
    """A fenced block: what stands before it in a comment, its language, its text."""

    comment: str
    language: str
    text: str

    @property
    def left_out(self) -> bool:
        needs = self.comment.removeprefix("needs ") if self.comment.startswith("needs ") else "kseg"
        missing = importlib.util.find_spec(needs) is None
        return missing or self.comment.startswith("not run:") or "results" in self.comment

    @property
    def only_parsed(self) -> bool:
        return self.comment.startswith("only parsed:")


def blocks(page: Path) -> list[Block]:
    return [Block(*(part or "" for part in found.groups())) for found in BLOCK.finditer(page.read_text("utf-8"))]


def commands(block: Block) -> list[list[str]]:
    """The `kseg` commands of a shell block, as words; other programs are left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [
        words[1:] for line in lines if (words := shlex.split(line, comments=True)) and words[0] == "kseg"
    ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A folder with what somebody who follows a page has."""
    import kseg

    root = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            mask = np.zeros((72, 96), np.uint8)
            mask[20 + number : 50, 30:70] = 1
            image = (mask[..., None] * 120 + rng.integers(0, 100, (72, 96, 3))).astype(np.uint8)
            for part, pixels in (("images", image), ("masks", mask)):
                folder = root / "my_data" / part / split
                folder.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(folder / f"{split}{number}.png"), pixels)
    (root / "my_data" / "classes.txt").write_text("ground\nthing\n")
    (root / "photos").mkdir()
    for path in ("photo.jpg", "photos/a.jpg"):
        assert cv2.imwrite(str(root / path), rng.integers(0, 256, (72, 96, 3), np.uint8))
    clip = cv2.VideoWriter(str(root / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 72))
    for _ in range(5):
        clip.write(rng.integers(0, 256, (72, 96, 3), np.uint8))
    clip.release()
    model = kseg.models.build("fcn32s_efficientnetlite0", 2)
    model.classes, model.palette = ("ground", "thing"), ((0, 0, 0), (255, 0, 0))
    (root / "runs" / "mine").mkdir(parents=True)
    model.save(root / "runs" / "mine" / "best.keras")
    return root


def pages_with(language: str) -> list:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=pytest.mark.docs)
        for page in PAGES
        if "results" not in page.parts and any(block.language == language for block in blocks(page))
    ]


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", pages_with("bash"))
def test_commands(page, reader, monkeypatch, capsys):
    monkeypatch.chdir(reader)
    monkeypatch.setenv("KSEG_CACHE", str(reader / "cache"))
    parser = build_parser()
    for block in blocks(page):
        if block.language != "bash" or block.left_out:
            continue
        for words in commands(block):
            parser.parse_args(words)  # leaves with code 2 where an option does not exist
            if block.only_parsed or words[0] == "demo":
                continue
            extra = [*SHORT, "--no-resume"] if words[0] == "train" else []
            code = main([*words, *extra])
            assert code == 0, f"{page.name}: kseg {shlex.join(words)} ended with {code}: {capsys.readouterr().err}"


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", pages_with("python"))
def test_python(page, reader, monkeypatch):
    import kseg

    # The first samples of shapes will do.
    monkeypatch.setattr(kseg.data.Dataset, "__len__", lambda self: 8)
    monkeypatch.chdir(reader)
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python" and not block.left_out and "--8<--" not in block.text:
            exec(compile(block.text, page.name, "exec"), names)


@pytest.mark.docs
@pytest.mark.tensorflow
@pytest.mark.parametrize("script", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples(script, reader, monkeypatch, capsys):
    monkeypatch.chdir(reader)
    for package in re.findall(r"^import (keras_tuner|optuna)$", script.read_text("utf-8"), re.MULTILINE):
        pytest.importorskip(package)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out
    text = script.read_text("utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 25
    assert f"docs/examples/{script.name}" in (ROOT / "docs" / "examples.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
