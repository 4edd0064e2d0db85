"""The page of the preset people in Debian's Chromium, with a camera that plays a clip.

The clip pans over a portrait of the astronaut Eileen Collins by NASA, which is in the public domain.
"""

import functools
import http.server
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

import kseg
from kseg.errors import SettingsError
from kseg.export.page import litert_js
from kseg.models import load_trained
from kseg.webcam.web import SiteServer, publish

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOFTWARE_GPU = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--ignore-gpu-blocklist",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker("browser")
            item.add_marker("tensorflow")


@pytest.fixture(scope="session")
def playwright():
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def portrait():
    """BGR, 800x800."""
    image = cv2.imread(str(Path(__file__).with_name("astronaut.jpg")))
    return cv2.resize(image, (800, 800), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="session")
def frames(portrait):
    """The clip: 60 frames of 640x480, BGR, two seconds that come back to their beginning."""
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    corners = [(int(80 + 70 * np.sin(t)), int(30 + 25 * np.cos(t))) for t in turns]
    coded = [cv2.imencode(".jpg", portrait[y : y + 480, x : x + 640])[1] for x, y in corners]
    return [cv2.imdecode(one, cv2.IMREAD_COLOR) for one in coded]


@pytest.fixture(scope="session")
def clip(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return path


@pytest.fixture(scope="session")
def frame_file(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("frame") / "frame.png"
    cv2.imwrite(str(path), frames[0])
    return path


@pytest.fixture(scope="session")
def runtime(playwright):
    """LiteRT.js is there, in the cache or by npm."""
    try:
        return litert_js.read()
    except SettingsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def site(runtime, tmp_path_factory):
    """The page of people; do not write into it."""
    folder = tmp_path_factory.mktemp("people") / "site"
    publish("people", folder)
    return folder


@pytest.fixture(scope="session")
def float32_file(tmp_path_factory):
    """People as a float32 .tflite file."""
    path = tmp_path_factory.mktemp("float32") / "people.tflite"
    kseg.export.tflite(load_trained("people"), path)
    return path


@pytest.fixture
def copied(site, tmp_path):
    """A site of one's own to spoil, its large files shared with the other."""
    return Path(shutil.copytree(site, tmp_path / "copy", copy_function=os.link))


@pytest.fixture(scope="session")
def launch(playwright, clip):
    """Start a Chromium with more arguments; ``camera`` False leaves it without one."""
    started = []

    def start(*arguments, camera=True):
        devices = "--use-fake-device-for-media-stream"
        source = (
            [devices, f"--use-file-for-fake-video-capture={clip}"]
            if camera
            else [f"{devices}=device-count=0"]
        )
        started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*source, *arguments]))
        return started[-1]

    yield start
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def chromium(launch):
    return launch()


@pytest.fixture(scope="session")
def serve():
    """Serve a folder; gives the address. ``plain``: as any host would, without kseg's headers; or with other types."""
    running = []

    def start(folder, plain=False):
        if plain:
            types = plain if isinstance(plain, dict) else {}
            kind = type("Other", (Quiet,), {"extensions_map": Quiet.extensions_map | types})
            handler = functools.partial(kind, directory=str(folder))
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            url = f"http://127.0.0.1:{server.server_address[1]}/"
        else:
            server = SiteServer(folder)
            url = server.url
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        running.append(server)
        return url

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def url(serve, site):
    return serve(site)


class Tab:
    """A page of the site, what went wrong in it, and what it asked for."""

    def __init__(self, context):
        self.context, self.errors, self.requests = context, [], []
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.page = context.new_page()
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => (self.violations ??= []).push(e.blockedURI))"
        )

    def open(self, url, status="Press Start"):
        self.page.goto(url)
        self.wait(status)
        return self

    @property
    def status(self):
        return self.page.evaluate("document.getElementById('status').textContent")

    def wait(self, status, seconds=60):
        """Until the page says so."""
        self.until(lambda: status in self.status, seconds, lambda: self.status)

    def until(self, condition, seconds=30, describe=str):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s; {describe()!r}, {self.errors}"
            self.page.wait_for_timeout(50)

    def run(self):
        """Start the camera and wait for frames."""
        self.page.click("#start")
        self.until(lambda: "fps" in self.page.inner_text("#rate"), 30, lambda: self.status)
        return self

    def share(self, number):
        """The share of a class that the page shows, 0 to 1."""
        text = self.page.locator("#classes .share").nth(number).inner_text()
        return float(text.removesuffix(" %")) / 100

    def evaluate(self, script, *arguments):
        return self.page.evaluate(script, *arguments)


@pytest.fixture
def tab(chromium):
    """Open a tab: ``tab(url)``; ``camera`` False refuses the camera."""
    opened = []

    def make(url=None, camera=True, browser=None, status="Press Start", **options):
        context = (browser or chromium).new_context(**options)
        if camera:
            context.grant_permissions(["camera"])
        opened.append(Tab(context))
        return opened[-1].open(url, status) if url else opened[-1]

    yield make
    for one in opened:
        assert not one.errors, one.errors
        one.context.close()


@pytest.fixture
def software_gpu(launch):
    return launch(*SOFTWARE_GPU)


@pytest.fixture
def processes():
    """The processes of this test's browsers that have a word in their command line."""

    def find(word):
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    return find


@pytest.fixture(scope="session")
def tasks_vision(playwright, tmp_path_factory):
    """The folder of MediaPipe's package for the web, by npm."""
    if shutil.which("npm") is None:
        pytest.skip("MediaPipe comes by npm, which is not here")
    folder = tmp_path_factory.mktemp("mediapipe")
    command = ["npm", "pack", "--silent", "@mediapipe/tasks-vision@1.1.0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm has no MediaPipe: {done.stderr[:100]}")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, filter="data")
    return folder / "package"
