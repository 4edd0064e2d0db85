from kseg.io.colour_map import colour_map, default_palette


def test_the_first_and_last_colours_of_vocs_devkit():
    """As VOCdevkit's `VOClabelcolormap.m` lists them."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert list(colour_map(7)) == expected
    assert colour_map(256)[255] == (224, 224, 192)
    assert len(set(colour_map(256))) == 256


def test_it_repeats_after_256():
    assert default_palette(300)[256:] == default_palette(44)
