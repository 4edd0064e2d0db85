"""Keras layers of the classic segmentation networks, one a file."""

from kseg.layers.atrous_conv import AtrousConv2D
from kseg.layers.atrous_pyramid import AtrousSpatialPyramidPooling
from kseg.layers.batch_normalization import BatchNormalization
from kseg.layers.bilinear_upsampling import BilinearUpsampling
from kseg.layers.crop_like import CropLike
from kseg.layers.depth_to_space import DepthToSpace
from kseg.layers.dilated_pooling import DilatedPooling2D
from kseg.layers.max_pooling_with_argmax import MaxPoolingWithArgmax2D
from kseg.layers.max_unpooling import MaxUnpooling2D
from kseg.layers.normalize import Normalize
from kseg.layers.pad_to_least import PadToLeast
from kseg.layers.pad_to_multiple import PadToMultiple
from kseg.layers.pyramid_pooling import PyramidPooling
from kseg.layers.resize_like import ResizeLike
from kseg.layers.scaled_image import ScaledImage
from kseg.layers.zoom_like import ZoomLike as ZoomLike  # in old files

__all__ = [
    "AtrousConv2D",
    "AtrousSpatialPyramidPooling",
    "BatchNormalization",
    "BilinearUpsampling",
    "CropLike",
    "DepthToSpace",
    "DilatedPooling2D",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "Normalize",
    "PadToLeast",
    "PadToMultiple",
    "PyramidPooling",
    "ResizeLike",
    "ScaledImage",
]
