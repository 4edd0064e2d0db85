"""The webcam app: `python apps/webcam.py [options]` is `kseg webcam [options]`."""

import sys

from kseg_command import main

if __name__ == "__main__":
    raise SystemExit(main(["webcam", *sys.argv[1:]]))
