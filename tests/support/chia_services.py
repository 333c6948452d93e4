"""Services of chia for tests: settings with ports of the test's own, and a stand-in that speaks their RPC."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Answers = dict[str, Any]


def read_config(root: Path) -> Any:
    return yaml.safe_load((root / "config" / "config.yaml").read_text(encoding="utf-8"))


def change(root: Path, section: str, **keys: Any) -> None:
    """Change a section of chia's settings."""
    config = read_config(root)
    config[section] |= keys
    (root / "config" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def trickle(answer: Any, pause_s: float) -> Iterator[bytes]:
    """An answer that arrives byte by byte."""
    for byte in json.dumps(answer).encode():
        time.sleep(pause_s)
        yield bytes([byte])


class StandIn:
    """Serves at the port of a section with the certificates of a chia root, and lets in only clients with
    certificates of it. An answer is JSON, or bytes as they are, or an iterator of bytes."""

    def __init__(self, root: Path, section: str, answers: Answers) -> None:
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                handler.rfile.read(int(handler.headers["Content-Length"]))
                self.asked.append(handler.path)
                answer = answers.get(handler.path, b"404: Not Found")
                if not isinstance(answer, bytes | Iterator):
                    answer = json.dumps(answer).encode()
                handler.send_response(200 if handler.path in answers else 404)
                if isinstance(answer, bytes):
                    handler.send_header("Content-Length", str(len(answer)))
                handler.end_headers()
                for part in [answer] if isinstance(answer, bytes) else answer:
                    handler.wfile.write(part)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None: ...

        self._server = Server(("127.0.0.1", read_config(root)[section]["rpc_port"]), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificates = root / "config" / "ssl"
        context.load_cert_chain(
            certificates / "daemon" / "private_daemon.crt", certificates / "daemon" / "private_daemon.key"
        )
        context.load_verify_locations(certificates / "ca" / "private_ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
