"""The webcam program: frames in, a live overlay out, whatever the camera does."""

from kseg.webcam.app import App, Settings
from kseg.webcam.capture import Capture, Frame
from kseg.webcam.segmentation import Segmentation, load
from kseg.webcam.source import check_opens, opener

__all__ = ["App", "Capture", "Frame", "Segmentation", "Settings", "check_opens", "load", "opener"]
