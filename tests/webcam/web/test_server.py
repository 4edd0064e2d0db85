import http.client
import socket
import threading

import pytest

from kseg.errors import SettingsError
from kseg.webcam.web import SiteServer


@pytest.fixture
def server(site):
    with SiteServer(site) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_files_with_their_types_and_the_headers(server):
    answer, content = ask(server, "/")
    assert (answer.status, content) == (200, b"<!doctype html>hello")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Permissions-Policy"].startswith("camera=(self)")
    answer, _ = ask(server, "/app.mjs?backend=wasm")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    answer, content = ask(server, "/runtime/a%20b.wasm")
    assert (answer.headers["Content-Type"], content) == ("application/wasm", b"\0asm")


def test_head_has_no_body_and_other_methods_are_refused(server):
    answer, content = ask(server, "/", "HEAD")
    assert (answer.status, content, answer.headers["Content-Length"]) == (200, b"", "20")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, "/", method)[0].status == 501


@pytest.mark.parametrize(
    "path", ["/runtime/", "/runtime", "/../conftest.py", "/%2e%2e/x", "//etc/passwd", "/app.mjs/", "/none"]
)
def test_nothing_but_the_files_of_the_site(server, path):
    answer, content = ask(server, path)
    assert (answer.status, content) == (404, b"Not Found\n")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""]
)
def test_another_host_is_refused(server, host):
    assert ask(server, "/", Host=host)[0].status == 421


def test_this_machine_by_name_is_answered(server):
    assert ask(server, "/", Host=f"localhost:{server.server_address[1]}")[0].status == 200


def test_two_host_headers_are_refused(server):
    port = server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil\r\n\r\n".encode())
        assert b" 421 " in connection.recv(100)


def test_it_listens_on_loopback_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_and_a_folder_without_a_page(site, tmp_path, server):
    with pytest.raises(SettingsError, match=r"it is in use; choose another"):
        SiteServer(site, server.server_address[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="--format web"):
        SiteServer(tmp_path / "empty")
