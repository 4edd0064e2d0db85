"""The webcam app: `python apps/webcam.py [options]` is `kseg webcam [options]`."""

import sys

sys.argv[0] = "kseg"  # as the command itself: parts are imported when they are needed

from kseg.cli.main import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main(["webcam", *sys.argv[1:]]))
