"""What the screen shows, and the keys that change it."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUNDS = ("picture", "blur", "replace")

KEYS = (
    ("q, Esc", "quit"),
    ("+ / -", "more / less paint"),
    ("m", "mirror"),
    ("space", "pause"),
    (".", "one frame on, while paused"),
    ("c", "next class only; after the last, all"),
    ("b", "background: picture, blurred, replaced"),
    ("t", "temporal smoothing"),
    ("l", "legend and times"),
    ("r", "record"),
    ("s", "screenshot"),
    ("h, ?", "this help"),
)


@dataclass
class View:
    """State of the screen.

    Attributes:
        alpha: of the paint, 0 to 1.
        mirror: left and right change places, as in a mirror.
        paused, step: hold the frame; let one through.
        only: show this class id alone; None all.
        background: one of `BACKGROUNDS`; what is not of class 0 stays sharp.
        smoothing, legend, help, recording: on or off.
        screenshot, quit: asked for.
    """

    alpha: float = 0.5
    mirror: bool = False
    paused: bool = False
    step: bool = False
    only: int | None = None
    background: str = "picture"
    smoothing: bool = True
    legend: bool = True
    help: bool = False
    recording: bool = False
    screenshot: bool = False
    quit: bool = False

    def press(self, key: int, num_classes: int) -> None:
        """Change the state as `KEYS` says; `key` is what cv2.waitKey gives, -1 for none."""
        if key < 0:
            return
        letter = chr(key & 0xFF)
        switches = {"m": "mirror", " ": "paused", "t": "smoothing", "l": "legend", "r": "recording"}
        switches |= {"h": "help", "?": "help", ".": "step", "s": "screenshot", "q": "quit", "\x1b": "quit"}
        if letter in "+=":
            self.alpha = min(round(self.alpha + 0.1, 2), 1.0)
        elif letter in "-_":
            self.alpha = max(round(self.alpha - 0.1, 2), 0.0)
        elif letter == "c":
            following = 0 if self.only is None else self.only + 1
            self.only = following if following < num_classes else None
        elif letter == "b":
            self.background = BACKGROUNDS[(BACKGROUNDS.index(self.background) + 1) % len(BACKGROUNDS)]
        elif letter in switches:
            name = switches[letter]
            setattr(self, name, True if name in ("step", "screenshot", "quit") else not getattr(self, name))
