"""PASCAL VOC's colour map, the colours of classes that have none of their own."""


def colour_map(count: int) -> tuple[tuple[int, int, int], ...]:
    """The first `count` colours of the PASCAL VOC colour map (VOCdevkit, `VOClabelcolormap.m`)."""
    colours = []
    for index in range(count):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
        colours.append(tuple(colour))
    return tuple(colours)


def default_palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """The first `count` colours of PASCAL VOC's colour map, whose class 0 is black; it repeats after 256.

    Example:

    >>> from kseg.io.colour_map import default_palette
    >>> default_palette(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """
    colours = colour_map(min(count, 256))
    return tuple(colours[i % 256] for i in range(count))
