import subprocess
import sys

import numpy as np
import pytest

from kseg.visualize.figure import as_image, literal, new_figure

pytest.importorskip("matplotlib")


def test_an_empty_figure_has_the_size_that_was_asked_for():
    image = as_image(new_figure(320, 210))
    assert (image.shape, image.dtype) == ((210, 320, 3), np.uint8)
    assert (image == image[0, 0]).all()


def test_names_are_shown_as_they_are():
    figure = new_figure(200, 100)
    texts = [figure.text(0.1, 0.5, literal(name)) for name in ("a$b", "$x_y^z$", "_a", "plain")]
    as_image(figure)  # a formula that makes no sense would fail here
    assert [text.get_text() for text in texts] == ["a\\$b", "\\$x_y^z\\$", "\u200b_a", "plain"]


def test_nothing_else_pays_for_it():
    """matplotlib is imported by the first chart, and its pyplot, which opens windows, never (Keras may import it)."""
    code = (
        "import sys, kseg_command\n"
        "import kseg.visualize.confusion, kseg.visualize.activations\n"
        "from kseg.visualize.curves import trimap_picture\n"
        "assert not {'matplotlib', 'keras'} & set(sys.modules)\n"
        "trimap_picture({'a': [0.5, 0.6]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
