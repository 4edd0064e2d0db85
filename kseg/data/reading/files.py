"""The readers of images and masks, which live in `kseg.io`; older programs import them from here."""

from kseg.io.images import MAX_PIXELS, SUFFIXES, image_size, read_image
from kseg.io.masks import png_palette, read_mask

__all__ = ["MAX_PIXELS", "SUFFIXES", "image_size", "png_palette", "read_image", "read_mask"]
