"""Keras layers of the classic segmentation networks, one a file."""

from kseg.layers.atrous_conv import AtrousConv2D
from kseg.layers.atrous_pyramid import AtrousSpatialPyramidPooling
from kseg.layers.batch_normalization import BatchNormalization
from kseg.layers.conv import Conv2D
from kseg.layers.depthwise_conv import DepthwiseConv2D
from kseg.layers.normalize import Normalize
from kseg.layers.pooling.dilated_pooling import DilatedPooling2D
from kseg.layers.pooling.max_pooling_with_argmax import MaxPoolingWithArgmax2D
from kseg.layers.pooling.max_unpooling import MaxUnpooling2D
from kseg.layers.pooling.pyramid_pooling import PyramidPooling
from kseg.layers.resizing.bilinear_upsampling import BilinearUpsampling
from kseg.layers.resizing.crop_like import CropLike
from kseg.layers.resizing.depth_to_space import DepthToSpace
from kseg.layers.resizing.pad_to_least import PadToLeast
from kseg.layers.resizing.pad_to_multiple import PadToMultiple
from kseg.layers.resizing.resize_like import ResizeLike
from kseg.layers.resizing.scaled_image import ScaledImage
from kseg.layers.resizing.zoom_like import ZoomLike as ZoomLike  # in old files

__all__ = [
    "AtrousConv2D",
    "AtrousSpatialPyramidPooling",
    "BatchNormalization",
    "BilinearUpsampling",
    "Conv2D",
    "CropLike",
    "DepthToSpace",
    "DepthwiseConv2D",
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
