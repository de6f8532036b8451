"""A proxy between the pipeline and a storage emulator that counts requests and makes some fail."""

import http.client
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

FAULTS = ("429", "503", "reset", "stall", "truncate")
"""Faults after which another attempt may succeed."""

_DENIED = {"error": {"code": 403, "message": "no access to this object, " * 20 + "GET https://x/y"}}


class Request(NamedTuple):
    """A request to the proxy.

    Attributes:
        method: the HTTP method.
        path: the path and the query, unquoted.
        body_start: the first bytes of the body, where an upload has the object's name.
    """

    method: str
    path: str
    body_start: bytes


class FaultyProxy:
    """Passes requests on to a server, except those for which a function chooses a fault.

    Attributes:
        url: the proxy's own URL.
        requests: all requests, in order.
        faults: the number of requests with each fault.
        connections: the number of connections that clients have opened.
    """

    def __init__(self, target: str, choose: Callable[[Request], str | None]) -> None:
        """Make the proxy.

        Args:
            target: the server's URL.
            choose: returns one of FAULTS for a request, or "403", "trickle" (an answer that never
                ends) or "corrupt" (a byte of the answer is another); None to pass it on.
        """
        self.requests: list[Request] = []
        self.faults: Counter[str] = Counter()
        self.connections = 0
        self._target = urlsplit(target).netloc
        self._choose = choose
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with proxy._lock:
                    proxy.connections += 1
                self.upstream = http.client.HTTPConnection(proxy._target)

            def finish(self) -> None:
                super().finish()
                self.upstream.close()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

            def answer(self) -> None:
                proxy._answer(self)

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Tests kill clients during their requests.
        self._server.handle_error = lambda *args: None
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, unquote(handler.path), body[:500])
        with self._lock:
            self.requests.append(request)
            fault = self._choose(request)
            if fault:
                self.faults[fault] += 1
        if fault in ("429", "503"):
            handler.send_response(int(fault))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Closing is not enough: file objects keep the socket open.
            handler.connection.shutdown(socket.SHUT_RD)
            handler.connection.close()
            handler.close_connection = True
        elif fault == "stall":
            self._stopped.wait()
        elif fault == "403":
            answer = json.dumps(_DENIED).encode()
            handler.send_response(403)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
        elif fault == "trickle":
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            while not self._stopped.wait(0.05):
                handler.wfile.write(b" ")
        else:
            self._pass_on(handler, body, fault)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes, fault: str | None) -> None:
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
        handler.upstream.request(handler.command, handler.path, body, headers)
        response = handler.upstream.getresponse()
        data = response.read()
        if fault == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        handler.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2] if fault == "truncate" else data)
        handler.close_connection = fault == "truncate"
