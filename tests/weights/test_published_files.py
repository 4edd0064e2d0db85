"""The list of published files, and fetching one from a server of the test's own."""

import hashlib
import http.server
import re
import threading
from dataclasses import replace

import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES, published
from kseg.weights.published_files import fetch, find_published


def test_every_file_is_of_a_source_and_says_where_it_is():
    rows = published()
    assert len({row.file for row in rows}) == len(rows)
    for row in rows:
        assert row.source in SOURCES, row.file
        assert row.page.startswith("http")
        assert row.url is None or row.url.startswith("http")
        assert row.sha256_prefix is None or re.search(rf"-{row.sha256_prefix}\.\w+$", row.file)
        assert row.evaluate is None or row.evaluate.startswith("kseg evaluate --model MODEL.keras --data ")
        assert None not in (row.as_json()["file"], row.as_json()["page"])


def test_every_source_of_networks_has_a_file():
    listed = {row.source for row in published()}
    assert {name for name in SOURCES if name.startswith(("mmseg/", "semseg/", "caffe/"))} - {"mmseg/resnet"} <= listed


def test_finding_by_name():
    assert find_published("fcn_resnet50_coco-1167a1af.pth").source == "torchvision/fcn"
    assert find_published("exp/ade20k/pspnet50/model/train_epoch_100.pth").source == "semseg/pspnet"
    assert find_published("train_epoch_100.pth") is None  # of two nets
    assert find_published("other.pth") is None


@pytest.fixture
def server():
    content = b"weights" * 1000

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/w.pth"
            self.send_response(200 if found else 404)
            self.end_headers()
            if found:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", content
    running.shutdown()
    running.server_close()


def test_fetching(server, tmp_path):
    address, content = server
    row = replace(
        published()[0], url=f"{address}/w.pth", sha256_prefix=hashlib.sha256(content).hexdigest()[:8]
    )
    told = []
    fetch(row, tmp_path / "w.pth", told.append)
    assert (tmp_path / "w.pth").read_bytes() == content
    assert told[-1] == len(content)


def test_what_cannot_be_fetched_leaves_nothing(server, tmp_path):
    address, _ = server
    row = published()[0]
    for change, words in (
        ({"url": f"{address}/w.pth", "sha256_prefix": "00000000"}, "does not begin with 00000000"),
        ({"url": f"{address}/other.pth"}, "cannot be fetched"),
        ({"url": "http://127.0.0.1:9/w.pth"}, "cannot be fetched"),
        ({"url": None}, "by hand"),
    ):
        with pytest.raises(ModelError, match=words):
            fetch(replace(row, **change), tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []
