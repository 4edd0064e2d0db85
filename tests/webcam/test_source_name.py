"""Sources that cannot be are refused by their name."""

import subprocess
import sys

import pytest

from kseg.errors import DataError, SettingsError
from kseg.webcam.source_name import check_source


@pytest.mark.parametrize("text", ["0", "12", "synthetic", "rtsp://camera/1", "HTTP://x/y.mp4", "."])
def test_sources(text):
    check_source(text)


@pytest.mark.parametrize(
    ("text", "error"), [("-1", SettingsError), ("none.mp4", DataError), ("ftp://x", DataError)]
)
def test_no_sources(text, error):
    with pytest.raises(error, match="--source"):
        check_source(text)


def test_a_mistake_is_told_before_anything_is_imported():
    words = [
        "-X",
        "importtime",
        "-m",
        "kseg",
        "webcam",
        "--source",
        "none.mp4",
        "--headless",
        "--report",
        "r.json",
    ]
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    assert ran.returncode == 2
    assert "argparse" in imported
    assert imported.isdisjoint({"cv2", "numpy", "keras", "tensorflow", "ai_edge_litert"})
