"""Whatever comes in, nothing but a result or a KsegError comes out: files and arguments made up by hypothesis.

A hundred cases each; ten thousand each in the slow suite.
"""

import contextlib
import io
import json
import os
import struct
import zlib

import numpy as np
import pytest

from kseg.data import check, load, read_image, read_mask
from kseg.data.reading.files import png_palette
from kseg.errors import KsegError

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

CASES = pytest.mark.parametrize(
    "cases", [pytest.param(100, id="short"), pytest.param(10_000, id="long", marks=pytest.mark.slow)]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 10**400, 1e308, True, False])
JSON = st.recursive(
    st.none() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def fuzz(strategy, function, cases):
    """Call ``function`` with ``cases`` values; anything but a KsegError that it raises is a failure."""

    def run(value):
        with contextlib.suppress(KsegError):
            function(value)

    checks = hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    checks(hypothesis.given(strategy)(run))()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@st.composite
def pngs(draw):
    """Indexed and other PNGs with fields out of range, cut and flipped, their checksums right or wrong."""
    width, height = (draw(st.sampled_from([0, 1, 3, 8, 2**31, 2**32 - 1])) for _ in range(2))
    bits, colour = draw(st.sampled_from([0, 1, 2, 3, 4, 8, 16, 255])), draw(st.integers(0, 7))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, draw(st.integers(0, 2)))
    parts = [chunk(b"IHDR", header[: draw(st.sampled_from([13, 13, 13, 5, 0]))])]
    parts += draw(
        st.lists(
            st.sampled_from([b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"zTXt", b"IHDR"]).flatmap(
                lambda name: st.binary(max_size=24).map(
                    lambda content: chunk(name, zlib.compress(content) if name == b"IDAT" else content)
                )
            ),
            max_size=4,
        )
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])
    return _damaged(draw, data)


def _damaged(draw, data):
    data = bytearray(data[: draw(st.integers(0, 2 * len(data)))])
    for place in draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=3)):
        if data:
            data[place] ^= draw(st.integers(1, 255))
    return bytes(data)


@st.composite
def pictures(draw):
    """Sound files of every kind that is read, damaged; and bytes behind every kind's signature."""
    import cv2

    kind = draw(st.sampled_from([".png", ".jpg", ".bmp", ".webp"]))
    if draw(st.booleans()):
        starts = {
            ".png": b"\x89PNG\r\n\x1a\n",
            ".jpg": b"\xff\xd8\xff",
            ".bmp": b"BM",
            ".webp": b"RIFF0000WEBP",
        }
        return starts[kind] + draw(st.binary(max_size=64))
    pixels = np.random.default_rng(draw(st.integers(0, 3))).integers(0, 3, (4, 5, 3), dtype=np.uint8)
    return _damaged(draw, cv2.imencode(kind, pixels if draw(st.booleans()) else pixels[..., 0])[1].tobytes())


@CASES
def test_pictures_and_palettes(tmp_path, cases):
    path = tmp_path / "a.png"

    def read(data):
        path.write_bytes(data)
        for reader in (read_mask, read_image, png_palette):
            with contextlib.suppress(KsegError):
                reader(path)

    fuzz(pngs() | pictures(), read, cases)


@CASES
def test_matlab_masks(tmp_path, cases):
    path = tmp_path / "a.mat"
    head = b" " * 124 + b"\0\1IM"
    element = st.tuples(st.sampled_from([1, 2, 5, 6, 14, 15, 65541]), st.binary(max_size=40)).map(
        lambda part: struct.pack("<II", part[0], len(part[1])) + part[1] + bytes(-len(part[1]) % 8)
    )
    inside = st.lists(element, max_size=6).map(b"".join)
    whole = inside.map(lambda body: struct.pack("<II", 14, len(body)) + body)
    packed = whole.map(zlib.compress).map(lambda body: struct.pack("<II", 15, len(body)) + body)

    def read(data):
        path.write_bytes(data)
        read_mask(path)

    fuzz(st.binary(max_size=200) | (whole | packed).map(lambda body: head + body), read, cases)


NAMES = st.text(max_size=12) | st.sampled_from(
    [
        "a",
        "../a",
        "/etc/passwd",
        "a b",
        "/JPEGImages/a.jpg /SegmentationClass/a.png",
        "a" * 300,
        "\0",
        "#",
        "..",
        "~",
    ]
)
LISTS = st.lists(NAMES, max_size=5).map(lambda names: "\n".join(names).encode("utf-8", "replace"))


@CASES
def test_dataset_lists(tmp_path, cases):
    voc, pet = tmp_path / "VOC2012", tmp_path / "pet"
    lists = (voc / "ImageSets" / "Segmentation" / "train.txt", pet / "annotations" / "trainval.txt")
    for path in (*lists, pet / "annotations" / "trimaps" / "x", pet / "images" / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(text):
        for path, name, root in zip(lists, ("voc", "oxford_iiit_pet"), (voc, pet), strict=True):
            path.write_bytes(text)
            with contextlib.suppress(KsegError):
                load(name, root)
            with contextlib.suppress(KsegError):
                check(load(name, root, complete=False))

    fuzz(LISTS | st.binary(max_size=64), read, cases)


@CASES
def test_class_lists(tmp_path, cases):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        import cv2

        cv2.imwrite(str(tmp_path / part / "a.png"), np.ones((4, 5), np.uint8))
    word = st.text(max_size=6) | st.integers(-1, 300).map(str) | st.just("9" * 5000) | st.just("ignore")
    line = st.lists(word, max_size=5).map(" ".join)

    def read(text):
        (tmp_path / "classes.txt").write_bytes(text)
        load("folder", tmp_path).load(0)

    texts = st.lists(line, max_size=5).map(lambda lines: "\n".join(lines).encode("utf-8", "replace"))
    fuzz(texts | st.binary(max_size=64), read, cases)


@CASES
def test_recipes(cases):
    from kseg.training import Recipe

    known = st.sampled_from([*Recipe().to_dict(), "unknown"])
    values = (
        JSON | st.lists(NUMBERS, min_size=2, max_size=2) | st.sampled_from(["sgd", "poly", "step", "sum"])
    )
    texts = (
        st.dictionaries(known, values, max_size=5).map(json.dumps)
        | JSON.map(json.dumps)
        | st.text(max_size=30)
    )

    def read(text):
        recipe = Recipe.from_json(text)
        assert Recipe.from_json(recipe.to_json()) == recipe

    fuzz(texts, read, cases)


@CASES
def test_tf_config(cases):
    cluster = pytest.importorskip("kseg.training.distribution.cluster")
    address = st.text(max_size=8) | st.sampled_from(
        ["a:1", "b:2", "a:0", ":1", "a:99999999999", "[::1]:80", "a:١"]
    )
    jobs = st.dictionaries(
        st.sampled_from(["chief", "worker", "ps", "evaluator"]),
        JSON | st.lists(address, max_size=3),
        max_size=3,
    )
    task = st.fixed_dictionaries(
        {}, optional={"type": JSON | st.sampled_from(["chief", "worker"]), "index": JSON | st.integers(0, 2)}
    )
    config = st.fixed_dictionaries({}, optional={"cluster": jobs | JSON, "task": task | JSON})

    def read(text):
        found = cluster.parse(text)
        assert 0 <= found.index < len(found.workers)

    fuzz(config.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=30), read, cases)


WORDS = [
    "",
    "0",
    "-1",
    "1",
    "2.5",
    "nan",
    "1e999",
    "9" * 5000,
    "x",
    "é",
    "\udcff",
    "none",
    "a" * 300,
    "[",
    "out",
]
NAMED = ["folder", "voc", "camvid", "tfds:x", "tfds:../x"]
FILES = ["data", "deep.json", "list.json", "text.keras", "archive.keras", "empty.png", "data/*.png"]
VALUES = st.sampled_from(WORDS + NAMED + FILES) | st.text(
    st.characters(exclude_characters="\0/*"), max_size=6
)


@st.composite
def command_lines(draw, verbs):
    """A verb, options of it and values that mostly do not fit; ``verbs`` are the parsers by name."""
    verb = draw(st.sampled_from([verb for verb in verbs if verb not in ("demo", "models")]))  # these two work
    parser = verbs[verb]
    options = [name for action in parser._actions for name in action.option_strings]
    required = [action for action in parser._actions if action.required]
    words = [verb]
    for action in required if draw(st.booleans()) else ():
        words += [*action.option_strings[:1], draw(VALUES)]
    for _ in range(draw(st.integers(0, 4))):
        words += draw(st.lists(st.sampled_from(options) | VALUES, min_size=1, max_size=3))
    return words


@CASES
def test_command_line(tmp_path, monkeypatch, cases):
    from kseg.cli import main

    parser = main.build_parser()
    monkeypatch.setattr(main, "build_parser", lambda: parser)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "list.json").write_text("[1e999]")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "archive.keras").write_bytes(b"PK\5\6" + bytes(18))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    def call(words):
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = main.main(words)
        assert code in (0, 1, 2), (code, said.getvalue())
        assert "Traceback" not in said.getvalue()

    fuzz(command_lines(parser._subparsers._group_actions[0].choices), call, cases)
    assert not os.path.exists(tmp_path / "out"), "a mistaken command left a folder"
