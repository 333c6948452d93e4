"""Flower, started as users start it, does not listen to everybody."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from celery import Celery
from celery.events.event import get_exchange

from common.model.snapshot import DirState, Drive, FinishedPlot, HarvesterSnapshot, PlotState, Wait, Waits
from common.model.text import CONTROL
from common.names import Role
from common.store import Board
from plotman.control.farm import FarmState
from plotman.flower import sections
from tests.support import full_farm, showcase
from tests.support.installed import celery
from tests.support.paper import T
from tests.support.ports import free_port
from tests.support.secured import Machines
from tests.support.waiting import eventually

SECRET = "correct-horse-battery"


@pytest.fixture
def environment(tmp_path: Path, broker_url: str) -> dict[str, str]:
    return _environment(tmp_path, broker_url)


def _environment(folder: Path, broker_url: str, **farm: object) -> dict[str, str]:
    settings = {
        "host": "web",
        "broker": broker_url,
        "state": str(folder / "state"),
        "scheduler": True,
        **farm,
    }
    path = folder / "plotman.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "version": [2],
                "farm": settings,
                "harvester": {"drives": [str(folder)], "plain_folders": True, "receiver_port": 0},
            }
        ),
        encoding="utf-8",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith("FLOWER_")} | {
        "PLOTMAN_CONFIG": str(path)
    }


def _flower(*options: str) -> list[str]:
    return celery("flower", *options)


def test_by_hand_on_all_addresses_without_password_it_refuses_and_says_what_to_do(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        _flower("--address=0.0.0.0", f"--port={free_port()}"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "flower_auth: USER:PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def _running(
    environment: dict[str, str], folder: Path, *options: str
) -> Iterator[tuple[psutil.Process, int]]:
    """Flower with these options, once it answers: its process and port. It logs to flower.log in `folder`."""
    port = free_port()
    with (folder / "flower.log").open("wb") as output:
        process = subprocess.Popen(
            _flower(f"--port={port}", *options), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: _answer(port, path="/healthcheck"), "Flower answers", 120)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture
def protected(tmp_path: Path, broker_url: str) -> Iterator[tuple[psutil.Process, int, Path]]:
    """Flower on all addresses with the password of plotman.yaml: its process, port and output."""
    settings = _environment(tmp_path, broker_url, flower_auth=f"farmer:{SECRET}")
    with _running(settings, tmp_path, "--address=0.0.0.0") as (process, port):
        yield process, port, tmp_path / "flower.log"


def _answer(port: int, account: str | None = None, path: str = "/", host: str | None = None) -> int | None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if host:
        request.add_header("Host", host)
    if account:
        request.add_header("Authorization", "Basic " + base64.b64encode(account.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_with_flower_auth_it_asks_and_the_password_is_seen_nowhere(
    protected: tuple[psutil.Process, int, Path],
) -> None:
    process, port, log = protected
    assert _answer(port) == 401
    assert _answer(port, f"farmer:{SECRET}") == 200
    assert _answer(port, "farmer:wrong") == 401
    assert SECRET not in " ".join(process.cmdline())
    assert SECRET not in " ".join(process.environ().values())
    assert SECRET not in log.read_text(encoding="utf-8")


def test_by_hand_without_an_address_it_listens_on_this_machine_only(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with _running(environment, tmp_path) as (process, _):
        listening = {
            connection.laddr.ip
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}


PATHS = ("/", "/workers", "/farm", "/farm/tables", "/tasks", "/metrics", "/healthcheck", "/api/workers", "/x")


def test_with_a_password_nothing_is_answered_without_it(
    protected: tuple[psutil.Process, int, Path],
) -> None:
    _, port, _ = protected
    assert {path: _answer(port, path=path) for path in PATHS} == dict.fromkeys(PATHS, 401)
    assert _answer(port, "farmer:wrong", "/metrics") == 401
    # As Prometheus asks, by any name of this machine.
    assert _answer(port, f"farmer:{SECRET}", "/metrics", "farm.example:5555") == 200
    assert _answer(port, f"farmer:{SECRET}", "/healthcheck") == 200


def _post(port: int, body_bytes: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {body_bytes}\r\n\r\n".encode())
    with contextlib.suppress(OSError):
        for _ in range(body_bytes // len(sent) if sent else 0):
            connection.sendall(sent)
    return connection


def _asked(port: int, header_bytes: int) -> socket.socket:
    """Send a request with one header of this length."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    with contextlib.suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * header_bytes)
    return connection


def _closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_without_the_password_nobody_fills_its_memory_or_holds_its_connections(
    protected: tuple[psutil.Process, int, Path],
) -> None:
    """Tornado's defaults: 99 MB of each of these, until the sender closes, and an hour for the last."""
    process, port, _ = protected
    before_bytes = process.memory_info().rss
    with contextlib.ExitStack() as opened:
        large = [opened.enter_context(_post(port, 99 << 20, bytes(1 << 20))) for _ in range(3)]
        late = opened.enter_context(_post(port, 1 << 10, b""))
        long = opened.enter_context(_asked(port, 40 << 10))
        assert process.memory_info().rss - before_bytes < 50 << 20
        assert [_closed(connection) for connection in (*large, late, long)] == [True] * 5
    assert _answer(port, f"farmer:{SECRET}") == 200


@pytest.fixture
def unprotected(environment: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """Flower on this machine only, without a password: its port."""
    with _running(environment, tmp_path) as (_, port):
        yield port


def test_without_a_password_only_local_names_are_answered_and_no_page_may_frame_it(unprotected: int) -> None:
    foreign = (f"evil.example:{unprotected}", "127.0.0.1.evil.example", "[::1].evil", "0.0.0.0", "[")
    pages = [path for path in PATHS if path not in ("/x", "/api/workers")]
    answers = {(path, host): _answer(unprotected, path=path, host=host) for path in PATHS for host in foreign}
    assert set(answers.values()) <= {400, 403}
    for host in (f"localhost:{unprotected}", "127.0.0.1", "[::1]:80"):
        assert {path: _answer(unprotected, path=path, host=host) for path in pages} == dict.fromkeys(
            pages, 200
        )
    with urllib.request.urlopen(f"http://127.0.0.1:{unprotected}/", timeout=5) as answer:
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def _order(port: int, headers: dict[str, str], method: str = "POST", **fields: str) -> tuple[int, str]:
    """Press a button of the farm's page, as any program can: status and text of the answer."""
    body = urllib.parse.urlencode({"action": "pause", "host": "web", **fields}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/farm/order", data=body, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _token(port: int, headers: dict[str, str]) -> dict[str, str]:
    """Headers of Flower's own page: its origin, and the token against forged requests."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/farm", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    return {**headers, **own, "Cookie": cookie, "X-XSRFToken": cookie.partition("=")[2]}


def _attacks(port: int, ours: dict[str, str]) -> dict[str, dict[str, str]]:
    foreign = {"Origin": "https://evil.example"}
    return {
        "no token": {name: value for name, value in ours.items() if name != "X-XSRFToken"},
        "another token": {**ours, "X-XSRFToken": "2|00000000|00|0"},
        "no cookie": {name: value for name, value in ours.items() if name != "Cookie"},
        "another site": {**ours, **foreign, "Sec-Fetch-Site": "cross-site"},
        "another site, old browser": {k: v for k, v in {**ours, **foreign}.items() if k != "Sec-Fetch-Site"},
        "another port": {**ours, "Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        "another site, its Origin hidden": {**ours, "Sec-Fetch-Site": "cross-site"},
    }


def test_only_flowers_own_page_presses_a_button_without_a_password(unprotected: int) -> None:
    ours = _token(unprotected, {})
    answers = {what: _order(unprotected, headers)[0] for what, headers in _attacks(unprotected, ours).items()}
    assert answers == dict.fromkeys(answers, 403)
    rebound = {**ours, "Host": "evil.example", "Origin": "http://evil.example"}
    assert _order(unprotected, rebound)[0] == 403
    assert _order(unprotected, {name: value for name, value in ours.items() if name != "Origin"})[0] == 403
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert _order(unprotected, ours, method)[0] == 405, method
    for wrong in (
        {"host": "nowhere"},
        {"host": "all"},
        {"host": "<script>alert(1)</script>"},
        {"host": "h" * 100_000},
        {"action": "shutdown", "host": "x\n\x1b]0;y"},
        {"action": "kill", "task_id": "all"},
        {"action": "drain", "place": "/" * 100_000},
    ):
        status, text = _order(unprotected, ours, **wrong)
        answer = json.loads(text)
        assert (status, answer["ok"]) == (200, False), wrong
        assert len(answer["text"]) < 500, wrong
        assert "\x1b" not in answer["text"], wrong


def _tables(port: int) -> str:
    """The content of the page, which comes compressed: a large farm's has a megabyte, each two seconds."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/farm/tables", headers={"Accept-Encoding": "gzip"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        return gzip.decompress(answer.read()).decode()


def test_with_read_only_no_button_is_shown_or_obeyed(
    environment: dict[str, str], tmp_path: Path, board: Board
) -> None:
    with _running(environment, tmp_path, "--read_only=true") as (_, port):
        full_farm.put_up(board)
        status, text = _order(port, _token(port, {}), host="nowhere")
        assert status == 403, text
        assert "plotter1" in (shown := _tables(port))
        assert "<button" not in shown
    with _running(environment, tmp_path) as (_, port):
        full_farm.put_up(board)
        assert "<button" in _tables(port)


def test_a_viewers_flower_shows_no_button_and_a_schedulers_does(attacked: Machines, tmp_path: Path) -> None:
    """A viewer's user of Redis may not order plotters."""
    with contextlib.closing(Board.connect(attacked.secured.url("p1"))) as board:
        for name, offered in (("eye", False), ("boss", True)):
            attacked.configure(name)
            with _running(attacked.environment(name), tmp_path) as (_, port):
                board.put_snapshot(Role.PLOTTER, full_farm.plotter("p1"))
                assert "p1" in (shown := _tables(port))
                assert ("<button" in shown) is offered, name


def test_with_another_sites_login_the_farm_is_neither_shown_nor_ordered_before_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Then Flower asks for no password, and each handler must ask whether somebody is logged in."""
    provider = "--auth_provider=flower.views.auth.GoogleAuth2LoginHandler"
    key = ("--oauth2_key=k", "--oauth2_secret=s", "--oauth2_redirect_uri=http://127.0.0.1:1/login")
    with _running(environment, tmp_path, r"--auth=.*@farm\.example", provider, *key) as (_, port):
        token = "0123456789abcdef"
        own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
        headers = {**own, "Cookie": f"_xsrf={token}", "X-XSRFToken": token}
        assert _order(port, headers, host="nowhere")[0] == 403
        assert {_answer(port, path=path) for path in ("/metrics", "/healthcheck")} == {401}
        for path in ("/farm", "/farm/tables", "/farm/task/t1"):
            status, where = _sent_to(port, path)
            assert (status, where.partition("?")[0]) == (302, "/login"), path


def _sent_to(port: int, path: str) -> tuple[int, str]:
    """Status of an answer, and where it sends the browser."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location", "")


def test_with_a_password_a_button_needs_it_and_the_token(protected: tuple[psutil.Process, int, Path]) -> None:
    _, port, _ = protected
    account = {"Authorization": "Basic " + base64.b64encode(f"farmer:{SECRET}".encode()).decode()}
    ours = _token(port, account)
    answers = {what: _order(port, headers)[0] for what, headers in _attacks(port, ours).items()}
    assert answers == dict.fromkeys(answers, 403)
    assert _order(port, {name: value for name, value in ours.items() if name != "Authorization"})[0] == 401
    assert _order(port, ours, host="nowhere")[0] == 200


GOOD = {
    "type": "worker-heartbeat", "hostname": "plotter@p1", "timestamp": 1.8e9, "utcoffset": 0, "clock": 1,
    "pid": 1, "freq": 10.0, "active": 1, "processed": 5, "loadavg": [0.1, 0.2, 0.3], "sw_ident": "py-celery",
    "sw_ver": "5", "sw_sys": "Linux",
}  # fmt: skip
TASK = {"type": "task-received", "hostname": "plotter@p1", "timestamp": 1.8e9, "uuid": "u1"}
FORGED = [
    {**GOOD, "hostname": "plotter@forged", **wrong}
    for wrong in (
        {"active": "x"}, {"active": {}}, {"active": -1e400}, {"processed": [1]}, {"loadavg": "high"},
        {"loadavg": [1]}, {"loadavg": [[], {}, None]}, {"timestamp": "now"}, {"timestamp": 1e300},
        {"timestamp": float("nan")}, {"freq": "x"}, {"freq": 0}, {"clock": "x"}, {"utcoffset": "x"},
        {"utcoffset": 10**400}, {"hostname": 5}, {"hostname": "x"}, {"hostname": ["plotter@p1"]},
        {"type": "worker-x"}, {"type": 5}, {"type": None}, {"pid": []},
    )
]  # fmt: skip
FORGED += [
    {**TASK, **wrong}
    for wrong in (
        {"uuid": None}, {"uuid": []}, {"uuid": 3 * 10**5 * "u"}, {"name": {}}, {"name": "not.ours"},
        {"runtime": "x"},
        {"eta": 5}, {"retries": "x"}, {"timestamp": -1e18}, {"type": "task-"},
    )
]  # fmt: skip


def test_forged_events_spoil_no_page_and_later_ones_are_shown(unprotected: int, broker_url: str) -> None:
    with Celery(broker=broker_url) as app, app.connection_for_write() as connection:
        exchange = get_exchange(connection)

        def publish(body: object) -> None:
            with app.amqp.Producer(connection) as producer:
                producer.publish(body, exchange=exchange, routing_key="worker.heartbeat", declare=[exchange])

        def shown() -> str:
            address = f"http://127.0.0.1:{unprotected}/workers?json=1"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())

        eventually(lambda: publish(GOOD) or "plotter@p1" in shown(), "a true one is shown", 60, 0.5)
        for body in [*FORGED, [], [5, GOOD], "x", 5, None, {}, {**GOOD, "sw_ident": "\x1b]0;x\x07\u202e"}]:
            publish(body)
        publish({**GOOD, "hostname": "plotter@p2"})
        eventually(lambda: "plotter@p2" in shown(), "a later one is shown")
        answers = {path: _answer(unprotected, path=path) for path in ("/", "/workers", "/tasks", "/metrics")}
        assert set(answers.values()) == {200}, answers
        assert "forged" not in shown()
        assert "\\u001b" not in shown()


ODD = "\x1b]0;x\x07\u202e"
ANSWERS: list[object] = [
    *(
        None,
        5,
        "x",
        [],
        {},
        [5],
        [None],
        [[]],
        {"x": ODD},
        [ODD],
        [{"name": []}],
        [{"id": 5}],
        [{"request": 5}],
    ),
    {"broker": 5, "pool": 5, "total": 5, "consumer": [1]},
    {"broker": {}, "pool": {"a": {"b": [ODD] * 5000}}, "total": {"x": "y"}, "pid": {}, "consumer": None},
    {"error": "x"},
]


def test_forged_answers_of_workers_are_no_error_of_a_page(
    environment: dict[str, str], unprotected: int, broker_url: str
) -> None:
    """A worker of an attacker answers Flower's questions, in its own name and in another's."""
    stop = threading.Event()
    answers: list[object] = [None]

    def lie() -> None:
        with Celery(broker=broker_url) as app, app.connection_for_write() as connection:
            mailbox = app.control.mailbox

            def answered(body: dict[str, Any], message: Any) -> None:
                if (reply := body.get("reply_to")) is None:
                    return
                ticket, forged = body["ticket"], answers[0]
                names = ("plotter@p1", "harvester@h1", "evil", ODD, "plotter@" + "x" * 300)
                mailbox._publish_reply(
                    dict.fromkeys(names, forged),
                    reply["exchange"],
                    reply["routing_key"],
                    ticket,
                    channel=channel,
                )

            node = mailbox.Node("plotter@evil")
            channel = connection.channel()
            consumer = node.Consumer(channel=channel)
            consumer.callbacks, consumer.on_decode_error = [answered], None
            with consumer:
                while not stop.is_set():
                    with contextlib.suppress(socket.timeout):
                        connection.drain_events(timeout=0.2)

    liar = threading.Thread(target=lie)
    liar.start()
    try:
        for forged in ANSWERS:
            answers[0] = forged
            for name in ("plotter@p1", "harvester@h1"):
                path = f"/worker/{name}"
                assert _answer(unprotected, path=path) in (200, 404, 503), (forged, path)
            pages = ("/", "/workers", "/workers?refresh=1", "/broker", "/api/workers?refresh=1", "/farm")
            found = {path: _answer(unprotected, path=path) for path in pages}
            assert not {status for status in found.values() if status >= 500}, (forged, found)
        answers[0] = {"broker": {}, "pool": {f"shown{ODD}": ODD}, "total": {ODD: 1}, "pid": 1}

        def page() -> str:
            address = f"http://127.0.0.1:{unprotected}/worker/harvester@h1"
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as error:
                return str(error.code)

        text = eventually(lambda: found if "Shown" in (found := page()) else "", "the answers arrive", 30)
    finally:
        stop.set()
        liar.join()
    assert "\\u202e" in text
    assert not re.search("[\x1b\u202e]", text)
    assert _answer(unprotected, path="/worker/evil") == 404


@pytest.mark.parametrize("text", [ODD, "a\nb\x00\x9b"])
def test_the_page_of_the_farm_shows_no_control_character(text: str) -> None:
    plotter = showcase.plotter(
        "p1", showcase.tmp_dir(f"/mnt/{text}/tmp"), jobs=(showcase.job(1, f"/{text}"),)
    )
    plot = FinishedPlot(path=f"/d{text}/a.plot", size_bytes=1, state=PlotState.FOREIGN, since=T, reason=text)
    plotter = plotter.model_copy(update={"problems": (text,), "plots": (plot,)})
    drive = Drive(path=f"/f{text}", state=DirState.OK, free_bytes=1, total_bytes=2)
    farm = FarmState(
        T, {"p1": plotter}, {}, {"h1": HarvesterSnapshot(host="h1", at=T, drives=(drive,))},
        Waits(beat="b", at=T, waits=(Wait(host="p1", rule=text, reason=text),)), frozenset(),
        leader="b", spoilt={"p1": text},
    )  # fmt: skip
    page = sections.page(farm)
    cells = [cell for each in page.sections for row in each.table.rows for cell in row]
    shown = "".join(
        [
            *(need.text + need.remedy for need in (*page.needs.lines, *page.asked.lines)),
            *cells,
            *(each.title for each in page.sections),
        ]
    )
    assert not CONTROL.search(shown)
    assert "\u202e" not in shown
    assert "\\x" in shown
