import http.client
import signal
import socket
import threading
from urllib.parse import urlsplit

import keras
import pytest

from kseg.errors import ModelError, SettingsError
from kseg.webcam.web import cached_site, serve


@pytest.fixture(autouse=True)
def _interrupts():
    """Ctrl-C is heard, also where the tests run in the background, whose processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::kseg.errors.KsegWarning")
def test_the_page_is_written_once_for_a_model(runtime, tmp_path):
    image = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(2, 1)
    model, path = keras.Model(image, layer(image)), tmp_path / "m.keras"
    model.save(path)
    first = cached_site(str(path), runtime=runtime)
    assert tmp_path / "cache" in first.parents
    (first / "index.html").write_text("kept")
    assert cached_site(str(path)) == first  # the runtime is not asked for again
    assert (first / "index.html").read_text() == "kept"
    layer.bias.assign([1.0, 2.0])
    model.save(path)
    assert cached_site(str(path), runtime=runtime) != first


def test_no_such_model(runtime):
    with pytest.raises(ModelError, match="presets: camvid, people"):
        cached_site("nobody", runtime=runtime)


def test_it_ends_at_control_c(site, capsys):
    seen = []

    def show(url):
        """A browser that loads the page and then presses Ctrl-C in the terminal."""

        def load():
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
            connection.request("GET", "/")
            seen.append(connection.getresponse().read())
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=load).start()
        return True

    serve(site, show=show)
    assert seen == [b"<!doctype html>hello"]
    told = capsys.readouterr()
    assert "http://127.0.0.1:" in told.out
    assert "Ctrl-C" in told.out


def test_without_a_browser_the_address_is_told(site, capsys):
    def show(url):
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        return False

    serve(site, show=show)
    assert "open this address" in capsys.readouterr().err


def test_the_usual_port_is_left_where_it_is_taken(site, monkeypatch):
    import sys

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(sys.modules["kseg.webcam.web.serve"], "PORT", taken)
        urls = []

        def show(url):
            urls.append(urlsplit(url).port)
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
            return True

        serve(site, show=show)
        assert urls[0] != taken
        with pytest.raises(SettingsError, match="in use"):
            serve(site, taken, show=show)
