"""``kseg webcam --browser`` from its start to Ctrl-C."""

import os
import signal
import subprocess
import sys

from kseg.models import preset_file


def test_from_start_to_control_c(tab, runtime, tmp_path):
    environment = {**os.environ, "BROWSER": "true", "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "kseg",
        "webcam",
        "--browser",
        "--model",
        str(preset_file("people", "int8")),
    ]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        one = tab(url).run()
        assert one.evaluate("crossOriginIsolated")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, process.stderr.read()
    assert list(tmp_path.iterdir()) == []  # nothing is left in the folder
