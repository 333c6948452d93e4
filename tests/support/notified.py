"""Receivers in tests of notifications: a real HTTP server that Apprise posts to, and a hook."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from common.model.snapshot import Event
from common.store import Board
from tests.support.full_farm import ID, ago

SECRET = "sekret"


class Phone:
    """An HTTP server that Apprise's json:// tells. status: what it answers. refused: a text it refuses."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.refused = ""
        phone = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                phone.asked += 1
                status = 400 if phone.refused and phone.refused in body.decode() else phone.status
                if status == 200:
                    phone.told.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://farmer:{SECRET}@127.0.0.1:{self._server.server_port}/path"

    def messages(self) -> list[str]:
        return [told["message"] for told in self.told]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def make_hook(folder: Path) -> Path:
    """A program that appends its input to hook.out beside it."""
    path = folder / "hook"
    path.write_text(
        f'#!/bin/sh\nread -r event\nprintf \'%s\\t%s\\n\' "$PLOTMAN_EVENT" "$event" >> {folder}/hook.out\n'
    )
    path.chmod(0o755)
    return path


def hooked(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    out = tmp_path / "hook.out"
    lines = out.read_text().splitlines() if out.exists() else []
    return [(kind, json.loads(text)) for kind, text in (line.split("\t") for line in lines)]


def tell(board: Board, kind: str = "plot-failed", task: str = "t1") -> None:
    board.tell(Event(kind=kind, host="p", at=ago(0), text=f"{kind} in /tmp", task_id=task, plot_id=ID))
