"""Keep the field's words: find private vocabulary in names, docstrings, comments and messages.

Run from anywhere: ``python tools/check_words.py [ROOT]``. Prints each find as ``file:line: word -> what to write``
and exits with 1 where there is one. Names are split at underscores and capitals: ``read_picture`` is found.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

# What not to write -> what to write instead.
WORDS = {
    "picture": "image",
    "pictures": "images",
    "net": "model or network",
    "nets": "models or networks",
    "enlarge": "upsample",
    "enlarged": "upsampled",
    "enlarges": "upsamples",
    "enlargement": "upsampling",
    "enlargements": "upsampling",
    "enlarging": "upsampling",
    "follower": "callback",
    "followers": "callbacks",
    "twin": "training model",
    "sweep": "window grid",
    "heard": "active classes",
    "unfinished": "temporary path",
    "zoom": "resize",
    "doctor": "checks",
}
# Names that stay: they are public, stand in files that users have, or are somebody else's.
ALLOWED = (
    *(
        "ResNet",
        "DeconvNet",
        "EfficientNet",
        "MobileNet",
        "DenseNet",
        "SegNet",
        "ImageNet",
        "PSPNet",
        "U-Net",
        "UNet",
    ),
    *("DilatedNet", "AlexNet", "ConvNeXt", "GoogLeNet", "ParseNet", "FusionNet"),
    ".net",
    *("def pictures(", '"pictures"'),  # old names of what kseg.data counts
    # Inside .keras files, checkpoints and scripts that users have.
    *("ZoomLike", "zoom_like", '"enlarge"', "image_level_enlarged", "twin/", "training_twin", "Twin"),
    *("confusion_picture", "trimap_picture", "report.picture", "def picture", '"picture"', "picture, blur"),
    # Titles of papers, files of others.
    *(
        "convolutional nets",
        "Convolutional Nets",
        "ConvNets",
        "V-Net",
        "NetParameter",
        "net.py",
        "nets/mobilenet",
        '"net",',  # what checkpoints call the model: a key, a prefix of keys
        '"net."',
    ),
)
FOLDERS = ("kseg", "apps", "tools")
TEXTS = ("README.md", "CONTRIBUTING.md", "docs")


def checked_files(root: Path) -> Iterator[Path]:
    """Python files of the package and its programs, and the documentation; not this file, which lists the words."""
    # tools/people keeps its scripts as they were run.
    for folder in FOLDERS:
        files = sorted((root / folder).rglob("*.py"))
        yield from (p for p in files if p.name != Path(__file__).name and p.parent.name != "people")
    for text in TEXTS:
        path = root / text
        # What was measured in the past keeps the words of its day.
        yield from (
            (p for p in sorted(path.rglob("*.md")) if "results" not in p.parts) if path.is_dir() else [path]
        )


def words(line: str) -> list[str]:
    """The words of a line in small letters; ``read_picture`` and ``readPicture`` are two words each."""
    for name in ALLOWED:
        line = line.replace(name, "")
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", line).lower())


def finds(path: Path) -> Iterator[tuple[int, str]]:
    """Every line number with a word that is not the field's."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield from ((number, word) for word in words(line) if word in WORDS)


def main(argv: list[str]) -> int:
    root = Path(argv[0]) if argv else Path(__file__).resolve().parents[1]
    found = [
        f"{path.relative_to(root)}:{number}: {word} -> {WORDS[word]}"
        for path in checked_files(root)
        if path.is_file()
        for number, word in finds(path)
    ]
    print("\n".join(found) if found else "words: the field's own")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
