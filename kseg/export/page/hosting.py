"""How the page is served: the headers of every answer, the types of its files, and the advice to whoever hosts it."""

from __future__ import annotations

from typing import Any

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# Python's own table asks the system, which may call .mjs plain text; browsers then refuse the module.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
    "": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


def readme(description: dict[str, Any]) -> str:
    """`README.txt` of a site."""
    types = "".join(f"  {ending or '(none)':8} {kind}\n" for ending, kind in TYPES.items())
    runtime = description["runtime"]
    headers = "".join(f"  {name}: {value}\n" for name, value in HEADERS.items())
    return f"""{description["name"]}: segmentation in the browser, exported by kseg {description["kseg"]}

Put this folder on any web server, at its root or below a path; nothing has to run there. To try it here:

  python -m http.server --bind 127.0.0.1      then open http://127.0.0.1:8000 (one thread, for want of headers)

What the server must do
- Serve the page by https://. Browsers give cameras only to https:// and to http://localhost.
- Send these types (most servers do; check .mjs and .wasm):
{types}
What it should do
- Send these headers with every file. The first two let the model run on several threads, and it is slower without;
  the policy makes the browser itself refuse every request to another host, so that no image can leave the device.
  Netlify and Cloudflare Pages read them from the file _headers. GitHub Pages sends none: the page works there on one
  thread, and its own copy of the policy covers the page but not its worker.
{headers}- Compress .wasm, .js, .mjs and .tflite files: a visitor then loads about 4 MB instead of 11.

Visitors load one of the runtime's three variants, and one model file. model.json names each model file with its
SHA-256; the page refuses another. {runtime["name"]} lies in {runtime["folder"]} with its licence and notice.
The model is the exporter's own: whoever publishes the page answers for the terms of the model's weights and data.
"""
