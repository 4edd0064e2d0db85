"""Keras layers of the classic segmentation networks, one a file."""

from kseg.layers.bilinear_upsampling import BilinearUpsampling
from kseg.layers.crop_like import CropLike
from kseg.layers.normalize import Normalize
from kseg.layers.resize_like import ResizeLike

__all__ = ["BilinearUpsampling", "CropLike", "Normalize", "ResizeLike"]
