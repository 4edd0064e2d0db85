"""The webcam program: frames in, a live overlay out, whatever the camera does."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.webcam.app import App, Settings
    from kseg.webcam.capture import Capture, Frame
    from kseg.webcam.segmentation import Segmentation, load
    from kseg.webcam.source import check_opens, opener

_HOMES = {
    "App": "app",
    "Capture": "capture",
    "Frame": "capture",
    "Segmentation": "segmentation",
    "Settings": "app",
    "check_opens": "source",
    "load": "segmentation",
    "opener": "source",
}

__all__ = ["App", "Capture", "Frame", "Segmentation", "Settings", "check_opens", "load", "opener"]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
