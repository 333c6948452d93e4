"""Where the plotter's rsync writes is never what another machine says alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from common.config.sections.archiving import Route
from common.errors import OrderRefused, TransferFailed
from common.model.messages import Admission, Reservation
from common.model.ticket import Ticket
from plotter_worker.archiving.transfer.transport import (
    OverSsh,
    SameMachine,
    SendTransport,
    ThroughReceiver,
    transport_to,
)

PLOT_ID = "ab" * 32
SOURCE = f"/dst/plot-k32-2026-11-22-15-48-{PLOT_ID}.plot"
GOOD: dict[str, Any] = {
    "host": "h1",
    "source_host": "p1",
    "path": SOURCE,
    "size_bytes": 7,
    "drive": "/farm/1",
    "part": f"/farm/1/.incoming/{PLOT_ID}.part",
    "move": "m1",
    "version": 1,
}
TICKET = Ticket.model_validate(
    {
        "plot_id": PLOT_ID,
        "address": "fd00::7",
        "port": 8730,
        "module": "0123456789abcdef",
        "password": "p" * 43,
    }
)
ROUTES = {
    "door": None,
    "ssh": Route(ssh="chia@h1"),
    "path": Route(path="/net/h1", under="/farm"),
}


@pytest.mark.parametrize("host", ["p1", "h1"])
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize(
    "changes",
    [
        {"part": None},
        {"part": f"/farm/1/{PLOT_ID}.part"},
        {"part": f"/farm/2/.incoming/{PLOT_ID}.part"},
        {"part": f"/farm/1/.incoming/{'cd' * 32}.part"},
        {"part": f"/farm/1/.incoming/../.incoming/{PLOT_ID}.part"},
        {"part": f"/farm/1/.incoming/{PLOT_ID}.part/"},
        {"part": "/farm/1/.incoming/-e id.part"},
        {"part": "/farm/1/.incoming/a.part?x=rsync://h/"},
        {"part": "/etc/.incoming/passwd.part", "drive": "/etc"},
        {"drive": ""},
    ],
    ids=str,
)
def test_only_the_part_of_this_plot_on_its_drive_is_written(
    changes: dict[str, Any], route: Route | None, host: str
) -> None:
    assert transport_to(Reservation.read(**GOOD), host, route)
    with pytest.raises(TransferFailed, match=r"^Harvester h1 reserved a file that is not the part"):
        transport_to(Reservation.read(**GOOD | changes), host, route)


@pytest.mark.parametrize(
    "host, route", [("p1", ROUTES["door"]), ("p1", ROUTES["ssh"])], ids=["receiver", "ssh"]
)
def test_rsync_never_creates_a_part_whose_reservation_is_gone(
    host: str, route: Route | None, tmp_path: Path
) -> None:
    way = transport_to(Reservation.read(**GOOD), host, route, lambda: TICKET, tmp_path)
    assert isinstance(way, SendTransport)
    with way.opened() as arguments:
        assert "--existing" in arguments.options


@pytest.mark.parametrize("drive", ["/farm/../etc", "/farm/1/../../etc", "/etc"])
def test_nothing_outside_the_mounted_directory_is_written(drive: str) -> None:
    reservation = Reservation.read(**GOOD | {"drive": drive, "part": f"{drive}/.incoming/{PLOT_ID}.part"})
    with pytest.raises(TransferFailed, match=r"archiving\.routes\.h1"):
        transport_to(reservation, "p1", ROUTES["path"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "h1\nforged"),
        ("host", "h" * 5000),
        ("source_host", "\x1b[2J"),
        ("path", "dst/a.plot"),
        ("path", "-e id"),
        ("path", "/dst/a\n.plot"),
        ("path", "/" * 5000),
        ("size_bytes", -1),
        ("size_bytes", 1 << 60),
        ("size_bytes", 1.5),
        ("drive", "/farm\r1"),
        ("part", "rsync://h/m/x.part"),
        ("part", "-rf"),
        ("part", "/farm/1/.incoming/\0.part"),
        ("landed", "/farm/\x9b"),
        ("move", "\u2028"),
        ("move", 7),
        ("took_s", float("nan")),
        ("took_s", float("inf")),
        ("took_s", -1),
        ("version", "x"),
    ],
)
def test_each_forged_field_of_a_reservation_is_refused(field: str, value: Any) -> None:
    with pytest.raises(OrderRefused, match=f"{field}: ") as raised:
        Reservation.of(GOOD | {field: value})
    assert "\n" not in str(raised.value)


def test_half_a_surrogate_pair_in_a_reservation_is_refused() -> None:
    with pytest.raises(OrderRefused, match="arguments: Invalid JSON"):
        Reservation.of(GOOD | {"path": "/dst/\ud800.plot"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("landed", "/farm/\n"),
        ("size_bytes", -1),
        ("verified", "\x1b]0;"),
        ("took_s", float("nan")),
        ("reservation", GOOD | {"path": "x"}),
    ],
)
def test_each_forged_field_of_an_admission_is_refused(field: str, value: Any) -> None:
    good = {"reservation": GOOD, "landed": "/farm/1/x", "size_bytes": 7, "verified": "30 of 30 proofs"}
    assert Admission.of(good)
    with pytest.raises(OrderRefused, match=field):
        Admission.of(good | {field: value})


@pytest.mark.parametrize("message", [None, [GOOD], "x", 7])
def test_an_answer_that_is_no_object_is_refused(message: object) -> None:
    with pytest.raises(OrderRefused, match="not an object"):
        Reservation.of(message)


def test_what_rsync_and_ssh_are_given_holds_no_word_of_the_message_that_could_be_an_option() -> None:
    way = transport_to(Reservation.read(**GOOD), "p1", ROUTES["ssh"])
    assert isinstance(way, OverSsh)
    with way.opened() as opened:
        assert opened.target == f"chia@h1:/farm/1/.incoming/{PLOT_ID}.part"
        assert "--protect-args" in opened.options


def test_the_files_of_a_ticket_have_names_of_our_own_and_are_gone_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "tickets"
    folder.mkdir(mode=0o755)
    (folder / TICKET.module).write_text("another's")
    way = ThroughReceiver(PurePosixPath(GOOD["part"]), lambda: TICKET, folder)
    with way.opened() as opened:
        option = next(option for option in opened.options if option.startswith("--password-file="))
        file = Path(option.partition("=")[2])
        assert file.parent == folder
        assert file.read_text() == "p" * 43 + "\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert TICKET.module not in file.name
        assert opened.target == f"rsync://{TICKET.module}@[fd00::7]:8730/{TICKET.module}/{PLOT_ID}.part"
    assert not file.exists()
    assert (folder / TICKET.module).read_text() == "another's"


def test_a_receiver_that_is_closed_or_failed_takes_nothing(tmp_path: Path) -> None:
    tickets: list[Ticket | None] = [None]
    way = ThroughReceiver(PurePosixPath(GOOD["part"]), lambda: tickets[0], tmp_path / "tickets")
    assert way.explanation() is None
    with pytest.raises(TransferFailed, match="is closed"):
        way.check()
    tickets[0] = TICKET
    way.check()
    assert way.explanation() is None
    tickets[0] = TICKET.model_copy(update={"failure": "/farm/1 failed: no space"})
    assert way.explanation() == "/farm/1 failed: no space"
    with pytest.raises(TransferFailed, match="no space"), way.opened():
        pytest.fail("it was opened")
    assert not (tmp_path / "tickets").exists()


def test_with_a_certificate_rsync_is_connected_by_the_relay_alone(tmp_path: Path) -> None:
    ticket = TICKET.model_copy(update={"certificate": "-----BEGIN"})
    way = ThroughReceiver(PurePosixPath(GOOD["part"]), lambda: ticket, tmp_path / "100%")
    with way.opened() as opened:
        program = opened.environment["RSYNC_CONNECT_PROG"]
        (certificate,) = [path for path in way.folder.iterdir() if path.read_text() == "-----BEGIN"]
        assert program.startswith("exec ")
        assert str(certificate).replace("%", "%%") in program
    assert list(way.folder.iterdir()) == []
    with ThroughReceiver(PurePosixPath(GOOD["part"]), lambda: TICKET, tmp_path).opened() as opened:
        assert opened.environment == {}


def test_each_way_says_whether_the_kernel_can_pace_it(tmp_path: Path) -> None:
    def way(host: str, route: str) -> SendTransport | SameMachine:
        return transport_to(Reservation.read(**GOOD), host, ROUTES[route])

    for made, kind, paced in (
        (way("p1", "door"), ThroughReceiver, True),
        (way("p1", "ssh"), OverSsh, False),
        (way("h1", "ssh"), OverSsh, False),
    ):
        assert isinstance(made, kind)
        assert made.paced == paced
    assert way("h1", "door") == SameMachine(Path(GOOD["part"]))
    mounted = Path(f"/net/h1/1/.incoming/{PLOT_ID}.part")
    assert way("p1", "path") == SameMachine(mounted, over_network=True)
