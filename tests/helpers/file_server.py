"""A web server on this machine that tests fetch files from, and that can misbehave."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves `files` ({path: bytes}) and counts in `asked` what was asked for.

    fault: None | "cut": half the bytes are sent, then the connection closes | "stall": half the bytes, then silence |
    "mute": silence | "late": the file after half a second | "chunked": no length is told | "html": a web page |
    a number: that status.
    redirects: {path: address}.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[str] = []
        self.fault = None
        self.root = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if self.fault == "mute":
            return time.sleep(1)
        if self.fault == "late":
            time.sleep(0.5)
        if request.path in self.redirects:
            return _head(request, 302, Location=self.redirects[request.path])
        if isinstance(self.fault, int) or request.path not in self.files:
            return _head(request, self.fault or 404)
        return self._send(request, self.files[request.path])

    def _send(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        kind = "text/html; charset=utf-8" if self.fault == "html" else "application/octet-stream"
        length = {} if self.fault == "chunked" else {"Content-Length": len(content)}
        _head(request, 200, **{"Content-Type": kind}, **length)
        half = self.fault in ("cut", "stall")
        request.wfile.write(content[: len(content) // 2] if half else content)
        if self.fault == "stall":
            request.wfile.flush()
            time.sleep(1)


def _head(request: BaseHTTPRequestHandler, status: int, **headers) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, str(value))
    request.end_headers()


@contextmanager
def serve():
    """A FileServer that listens on 127.0.0.1; `root` is its address."""
    files = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            files.answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    files.root = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
