"""The webcam program as a page in the browser, served to this machine alone."""

from kseg.webcam.web.publish import publish
from kseg.webcam.web.serve import cached_site, serve
from kseg.webcam.web.server import SiteServer

__all__ = ["SiteServer", "cached_site", "publish", "serve"]
