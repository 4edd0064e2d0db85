import pytest

from kseg.webcam.view import KEYS, View


def pressed(keys, num_classes=3, **start):
    view = View(**start)
    for key in keys:
        view.press(ord(key), num_classes)
    return view


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ("++", "alpha", 0.7),
        ("-" * 9, "alpha", 0.0),
        ("+" * 9, "alpha", 1.0),
        ("m", "mirror", True),
        ("mm", "mirror", False),
        (" ", "paused", True),
        (".", "step", True),
        ("c", "only", 0),
        ("ccc", "only", 2),
        ("cccc", "only", None),
        ("b", "background", "blur"),
        ("bb", "background", "replace"),
        ("bbb", "background", "picture"),
        ("t", "smoothing", False),
        ("l", "legend", False),
        ("r", "recording", True),
        ("rr", "recording", False),
        ("s", "screenshot", True),
        ("h", "help", True),
        ("?h", "help", False),
        ("q", "quit", True),
        ("\x1b", "quit", True),
    ],
)
def test_keys(keys, name, value):
    assert getattr(pressed(keys), name) == pytest.approx(value)


def test_no_key_and_unknown_keys_change_nothing():
    view = View()
    view.press(-1, 3)
    view.press(ord("x"), 3)
    view.press(0xFF51, 3)  # an arrow, whose low byte is Q's and not q's
    assert view == View()


def test_the_help_names_every_key():
    assert {letter for keys, _ in KEYS for letter in keys if letter in "+-m.cbtlrsh?q"} == set(
        "+-m.cbtlrsh?q"
    )
