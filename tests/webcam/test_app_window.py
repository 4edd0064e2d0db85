"""The real window, on a display without a screen."""

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def xvfb(tmp_path):
    """A display without a screen; the environment for a program on it, and its picture."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed: apt-get install xvfb")
    number = next(n for n in range(90, 200) if not Path(f"/tmp/.X11-unix/X{n}").exists())
    display = subprocess.Popen(
        [program, f":{number}", "-screen", "0", "800x600x24", "-fbdir", str(tmp_path), "-nolisten", "tcp"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not Path(f"/tmp/.X11-unix/X{number}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    environment = {**os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
    environment.pop("WAYLAND_DISPLAY", None)
    yield environment, tmp_path / "Xvfb_screen0"
    display.terminate()
    display.wait(10)


def screen_picture(file):
    """The picture of an Xvfb frame buffer in XWD format (X11/XWDFile.h), BGR."""
    data = file.read_bytes()
    header = struct.unpack(">25I", data[:100])
    size, width, height, line, colours = header[0], header[4], header[5], header[12], header[19]
    start = size + 12 * colours
    pixels = np.frombuffer(data, np.uint8, height * line, start).reshape(height, line // 4, 4)
    return pixels[:, :width, :3]


WINDOWED = """
import sys, threading, numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import Bright, FakeCamera
from kseg.webcam.app import App, Settings
from kseg.webcam.view import View
frame = np.full((240, 320, 3), 40, np.uint8)
frame[60:180, 80:240] = 200
app = App(FakeCamera([frame] * 10**5), Bright(), Settings(view=View(alpha=1.0, legend=False)))
stop = threading.Timer(170, setattr, (app.view, "quit", True))
stop.daemon = True
stop.start()
app.run()
"""


@pytest.mark.slow
def test_the_real_window(xvfb):
    """What stands on the screen is the frame with its bright part painted red."""
    environment, buffer = xvfb
    program = subprocess.Popen(
        [sys.executable, "-c", WINDOWED, str(Path(__file__).parent)], env=environment, stderr=subprocess.PIPE
    )
    try:
        found, end = False, time.monotonic() + 150
        while not found and time.monotonic() < end and program.poll() is None:
            time.sleep(0.5)
            picture = screen_picture(buffer)
            red = (picture[..., 2] > 230) & (picture[..., 1] < 30) & (picture[..., 0] < 30)
            grey = (np.abs(picture.astype(int) - 40) < 4).all(-1)
            found = abs(red.sum() - 120 * 160) < 1500 and grey.sum() > 0.6 * (240 * 320 - 120 * 160)
        assert found, (red.sum(), grey.sum(), program.poll() and program.stderr.read().decode())
    finally:
        program.terminate()
        program.wait(10)
