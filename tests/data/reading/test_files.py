"""The old address of the readers leads to the same functions."""

import kseg.io.images
import kseg.io.masks
from kseg.data.reading import files


def test_the_old_names_are_the_readers():
    assert files.read_image is kseg.io.images.read_image
    assert files.image_size is kseg.io.images.image_size
    assert files.read_mask is kseg.io.masks.read_mask
    assert files.png_palette is kseg.io.masks.png_palette
    assert set(files.__all__) == {name for name in dir(files) if not name.startswith("_")}
