"""chia's harvester is asked by its own RPC: the real one, and a stand-in that shows plots.

The real harvester opens no plot before its farmer has greeted it, which needs a network. So a stand-in with
the certificates that `chia init` made answers with plots, in the form of chia 2.7.5's harvester_rpc_api.py.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from harvester_worker.farmed import chia_rpc
from harvester_worker.farmed.chia_rpc import ChiaSilent, ask
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter


@pytest.fixture
def root(chia_root: Path, tmp_path: Path) -> Path:
    """chia's settings, with a port and a plot directory of the test's own."""
    made = tmp_path / "chia"
    shutil.copytree(chia_root, made)
    change(made, rpc_port=free_port(), plot_directories=[str(tmp_path / "drive")])
    (tmp_path / "drive").mkdir()
    return made


def change(root: Path, **harvester: Any) -> None:
    path = root / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["harvester"] |= harvester
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def test_the_real_harvester_answers(root: Path, tmp_path: Path, chia: Path) -> None:
    change(root, recursive_plot_scan=True)
    with (tmp_path / "chia.log").open("wb") as log:
        harvester = subprocess.Popen(
            [chia.parent / "chia_harvester"],
            env=os.environ | {"CHIA_ROOT": str(root)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def view() -> chia_rpc.ChiaView | None:
            try:
                return ask(str(root))
            except ChiaSilent:
                return None

        seen = eventually(view, "chia's harvester answers", 90)
        assert (seen.plots, seen.failed) == (frozenset(), frozenset())
        assert list(seen.directories) == [str(tmp_path / "drive")]
        assert (seen.recursive, seen.interval_s) == (True, 120)
    finally:
        harvester.terminate()
        harvester.wait(timeout=30)


Answers = dict[str, Any]
PLOT = {
    "filename": "/farm/a.plot", "size": 32, "plot_id": "0x" + "ab" * 32, "pool_public_key": None,
    "pool_contract_puzzle_hash": "0x" + "05" * 32, "plot_public_key": "0x" + "07" * 48, "file_size": 5,
    "time_modified": 1, "compression_level": 7, "plot_index": 0, "meta_group": 0,
}  # fmt: skip
GOOD: Answers = {
    "/get_plots": {
        "plots": [PLOT], "failed_to_open_filenames": ["/farm/b.plot"],
        "not_found_filenames": ["/farm/c.plot"], "success": True,
    },
    "/get_plot_directories": {"directories": ["/farm"], "success": True},
}  # fmt: skip


class StandIn:
    """Serves with the certificates of a chia root, and lets in only clients with certificates of it."""

    def __init__(self, root: Path, answers: Answers, missing: str = "") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                answer = answers[self.path]
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(404 if self.path == missing else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        port = yaml.safe_load((root / "config" / "config.yaml").read_text())["harvester"]["rpc_port"]
        self._server = HTTPServer(("127.0.0.1", port), Handler)
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


@pytest.fixture
def serving(root: Path) -> Iterator[Callable[..., None]]:
    made: list[StandIn] = []
    yield lambda answers, missing="": made.append(StandIn(root, answers, missing))
    for one in made:
        one.stop()


def test_plots_and_those_that_chia_cannot_open(root: Path, serving: Callable[[Answers], None]) -> None:
    serving(GOOD)
    seen = ask(str(root))
    assert seen.plots == {"/farm/a.plot"}
    assert seen.failed == {"/farm/b.plot", "/farm/c.plot"}
    assert list(seen.directories) == ["/farm"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"success": False, "error": "x"}, "get_plots is refused"),
        ({**GOOD["/get_plots"], "plots": 5}, "the answer to get_plots has another form"),
        ({**GOOD["/get_plots"], "plots": [{"filename": 7}]}, "the answer to get_plots has another form"),
        ({"success": True}, "the answer to get_plots has another form"),
        ([], "get_plots is refused"),
        (b"no JSON", "Expecting value"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_an_answer_of_another_form_is_no_answer(
    root: Path, serving: Callable[[Answers], None], answer: Any, words: str
) -> None:
    serving({**GOOD, "/get_plots": answer})
    with pytest.raises(ChiaSilent, match=words):
        ask(str(root))


def test_an_endless_answer_is_not_read(
    root: Path, serving: Callable[[Answers], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chia_rpc, "_MOST_BYTES", 100)
    serving(GOOD)
    with pytest.raises(ChiaSilent, match="and 101 bytes"):
        ask(str(root))


def test_a_harvester_without_the_question_is_no_answer(root: Path, serving: Callable[..., None]) -> None:
    serving(GOOD, "/get_plot_directories")
    with pytest.raises(ChiaSilent, match="get_plot_directories is answered with 404"):
        ask(str(root))


def test_a_chia_that_does_not_run(root: Path) -> None:
    with pytest.raises(ChiaSilent, match=r"does not answer at localhost:\d+: Connection refused.*chia start"):
        ask(str(root))


def test_another_program_with_other_certificates_is_not_believed(
    root: Path, tmp_path: Path, serving: Callable[[Answers], None], chia: Path
) -> None:
    serving(GOOD)
    other = tmp_path / "other"
    init = subprocess.run(
        [chia, "init"], env=os.environ | {"CHIA_ROOT": str(other)}, capture_output=True, check=False
    )
    assert init.returncode == 0
    shutil.copy(other / "config/ssl/ca/private_ca.crt", root / "config/ssl/ca/private_ca.crt")
    with pytest.raises(ChiaSilent, match="does not answer"):
        ask(str(root))


def test_settings_that_cannot_be_used_are_named(root: Path, tmp_path: Path) -> None:
    (root / "config/ssl/daemon/private_daemon.key").unlink()
    with pytest.raises(ChiaSilent, match=r"certificates below .* cannot be used: No such file"):
        ask(str(root))
    change(root, rpc_port="x")
    with pytest.raises(ChiaSilent, match=r"config.yaml cannot be read: wrong or missing: harvester.rpc_port"):
        ask(str(root))
    with pytest.raises(ChiaSilent, match="No such file"):
        ask(str(tmp_path / "nowhere"))
