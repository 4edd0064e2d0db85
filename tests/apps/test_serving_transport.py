import base64
import contextlib
import http.server
import json
import socket
import struct
import sys
import threading
import time
import zlib

import numpy as np
import pytest


@pytest.fixture
def transport(programs):
    import serving_transport

    return serving_transport


@pytest.fixture(params=["rest", "grpc"])
def client(request, transport):
    """Either client, connected to the model streets; both have to behave alike."""
    kind = transport.RestClient if request.param == "rest" else transport.GrpcClient
    server = request.getfixturevalue("rest" if request.param == "rest" else "grpc_address")

    def make(model="streets", **settings):
        made.append(kind(server, model, **settings))
        return made[-1]

    made = []
    yield make
    for one in made:
        one.close()


EXPECTED = np.repeat([[0, 1, 2]], 12, axis=0).repeat(6, axis=1)


def test_the_mask_comes_back(client, png):
    for version in (None, 1):
        mask = client(version=version).mask(png)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, EXPECTED)


def test_unknown_model_and_version(client, png, transport):
    for settings in ({"model": "roads"}, {"version": 4}):
        with pytest.raises(transport.ServingError, match=r"knows no model.*models\.config") as caught:
            client(**settings).mask(png)
        assert not isinstance(caught.value, (transport.Refused, transport.Unavailable))


def test_bytes_that_are_no_image_are_refused(client, transport):
    with pytest.raises(transport.Refused, match="not a JPEG or PNG"):
        client().mask(b"Dear Sir")


def test_a_large_file_gets_through(client, png, models, transport):
    assert client(timeout=60).mask(png + bytes(9_000_000)).shape == (12, 18)


def test_a_server_that_takes_too_long(client, png, models, transport):
    models.pause = 1.0
    with pytest.raises(transport.Unavailable, match=r"within 0\.2 s"):
        client(timeout=0.2).mask(png)


def test_another_try_after_an_outage(client, png, models, transport, loopback):
    outage = loopback.Refused(14, "warming up")
    models.fail = [outage]
    asked = client()
    np.testing.assert_array_equal(transport.ask(asked, png, retries=1, pause=0.01), EXPECTED)
    models.fail, models.asked = [outage] * 9, 0
    with pytest.raises(transport.Unavailable):
        transport.ask(asked, png, retries=2, pause=0.01)
    assert models.asked == 3


def test_no_second_try_where_the_server_has_refused(client, models, transport):
    with pytest.raises(transport.Refused):
        transport.ask(client(), b"Dear Sir", retries=5, pause=0.01)
    assert models.asked == 1


def test_a_model_without_the_signature(client, png, models, transport):
    models.fail = [models.refused(3, 'Serving signature key "encoded" not found.')]
    with pytest.raises(transport.ServingError, match="exported by kseg") as caught:
        client().mask(png)
    assert not isinstance(caught.value, transport.Refused)


def test_an_answer_without_a_mask(client, png, models, transport):
    models.outputs = ()
    with pytest.raises(transport.ServingError):
        client().mask(png)


def test_what_the_server_says_is_shown_without_its_nodes(transport):
    """Sentences of TensorFlow's C library for two images that it refused."""
    pixels = "assertion failed: [image_bytes: an image of more than 50000000 pixels:] [3600000000]"
    node = (
        " [[{{function_node map_while_Assert_2_AssertGuard_false_3805}}{{node map/while/Assert_2/Assert}}]]"
    )
    assert transport.plain(pixels + node) == "image_bytes: an image of more than 50000000 pixels: 3600000000"
    shape = "Shape of tensor images [1,36,48,3] is not compatible with expected shape [?,36,48,3]."
    assert transport.plain(shape + "\n\t " + node.strip()) == shape
    assert len(transport.plain("x" * 1000)) == 300


def test_nobody_listens(transport, png):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for client in (
        transport.RestClient(f"http://127.0.0.1:{port}", "m"),
        transport.GrpcClient(f"127.0.0.1:{port}", "m", timeout=5),
    ):
        with pytest.raises(transport.Unavailable, match="no server answers"):
            client.mask(png)
        client.close()


def test_a_mask_of_numbers_is_taken_too(transport, rest, models, png):
    models.outputs = ("mask",)
    np.testing.assert_array_equal(transport.RestClient(rest, "streets").mask(png), EXPECTED)


MALFORMED = {
    "no JSON": b"<html>",
    "no predictions": b"{}",
    "two predictions": b'{"predictions": [1, 2]}',
    "a number": b'{"predictions": [7]}',
    "no mask": b'{"predictions": [{"scores": [1]}]}',
    "no base64": b'{"predictions": [{"mask_bytes": {"b64": "***"}}]}',
    "no PNG": json.dumps(
        {"predictions": [{"mask_bytes": {"b64": base64.b64encode(b"x").decode()}}]}
    ).encode(),
    "nothing": b'{"predictions": [{"mask_bytes": {"b64": ""}}]}',
    "fractions": b'{"predictions": [{"mask": [[0.5, 1]]}]}',
    "a line": b'{"predictions": [{"mask": [1, 2]}]}',
    "class 300": b'{"predictions": [{"mask": [[300]]}]}',
    "class -1": b'{"predictions": [{"mask": [[-1]]}]}',
    "depth": b'{"predictions":' + b"[" * 200_000,
    "ragged": b'{"predictions": [{"mask": [[1], [2, 3]]}]}',
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_answers(transport, what):
    with pytest.raises(transport.ServingError, match="malformed"):
        transport.mask_of_json(MALFORMED[what])


def test_a_png_of_too_many_pixels_is_malformed(transport):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(transport.ServingError, match="malformed"):
        transport.mask_of_png(start + struct.pack(">I", 4) + b"IDAT" + bytes(8))


@pytest.mark.parametrize("drops", [20, 2])
def test_an_answer_that_comes_in_drops_or_never_ends(transport, png, drops):
    """The first server stays below the timeout with each drop, the second hangs up before it is done."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(drops):
                    self.wfile.write(b" ")
                    time.sleep(0.1)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = transport.RestClient(f"127.0.0.1:{server.server_address[1]}", "m", timeout=0.5)
    start = time.monotonic()
    with pytest.raises(transport.Unavailable, match=r"within 0\.5 s" if drops == 20 else "no server answers"):
        client.mask(png)
    assert time.monotonic() - start < 1.5
    server.shutdown()
    server.server_close()


def test_another_program_listens_there(transport, png):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"<h1>It works</h1>")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with pytest.raises(transport.ServingError, match=r"500.*It works"):
        transport.RestClient(f"127.0.0.1:{server.server_address[1]}", "m").mask(png)
    server.shutdown()
    server.server_close()


def test_addresses(transport):
    for wrong in (
        "ftp://x",
        "http://x:port",
        "http://[::1",
        "http://" + "a" * 70,
        "http://a..b",
        "http://x y",
        "",
    ):
        with pytest.raises(transport.ServingError, match="expected an address"):
            transport.RestClient(wrong, "m")


def test_without_the_grpc_packages(transport, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    pytest.importorskip("grpc")
    with pytest.raises(transport.ServingError, match="pip install tensorflow-serving-api"):
        transport.GrpcClient("x:1", "m")
