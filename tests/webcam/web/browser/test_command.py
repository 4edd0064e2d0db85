"""``kseg webcam --browser`` from its start to its end."""

import os
import subprocess
import sys

from kseg.models import preset_file


def test_from_start_to_end(tab, runtime, tmp_path):
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
        try:
            line = process.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            one = tab(url).run()
            assert one.evaluate("crossOriginIsolated")
            process.terminate()  # as Ctrl-C, which programs in the background do not hear
            assert process.wait(20) == 0, process.stderr.read()
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []  # nothing is left in the folder
