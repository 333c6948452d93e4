"""Ways to a harvester that a plotter names itself: a mounted path, and ssh."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.loader import load
from common.config.sections.archiving import Route
from common.errors import TransferFailed
from common.model.messages import Delivery, Reservation
from common.worker.move_step import never
from harvester_worker.drives import part_files
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.sender import Sender
from tests.support.lacking import lacking
from tests.support.site import HERE, THERE, Site, id_of
from tests.support.ssh import Sshd, missing

pytestmark = pytest.mark.plotter


def test_a_mounted_path_may_be_named_instead_of_the_receiver(site: Site, drive: Path, source: Path) -> None:
    net = site.folder / "net"
    net.symlink_to(drive.parent)
    site.configure(f"{{routes: {{{HERE}: {{path: {net}, under: {drive.parent}}}}}}}")
    assert site.archive(source).landed == str(drive / source.name)

    site.configure(f"{{routes: {{{HERE}: {{path: {net}, under: /elsewhere}}}}}}")
    with pytest.raises(TransferFailed, match=r"archiving\.routes"):
        site.send(source, Reservation(**_reservation(source, drive)))


def _reservation(source: Path, drive: Path) -> dict[str, Any]:
    part = part_files.part_path(str(drive), id_of(source))
    return {
        "host": HERE,
        "source_host": THERE,
        "path": str(source),
        "size_bytes": source.stat().st_size,
        "drive": str(drive),
        "part": str(part),
    }


@pytest.fixture
def sshd(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    if gone := missing():
        lacking(f"{gone} is missing")
    server = Sshd(site.folder / "ssh")
    server.start()
    monkeypatch.setenv("PATH", f"{server.bin}:{os.environ['PATH']}")
    site.configure(f"{{routes: {{{HERE}: {{ssh: {server.login}}}}}}}")
    yield server
    server.stop()


def test_a_plot_goes_over_ssh_where_that_is_named_and_no_receiver_is_opened_for_it(
    site: Site, drive: Path, source: Path, sshd: Sshd
) -> None:
    order = site.order(source).model_copy(update={"door": False})
    told: list[TransferProgress] = []
    sender = Sender(load(site.config), site.board)
    assert sender.routed == (HERE,)

    reservation = site.intake.reserve(order)
    assert site.board.ticket(HERE, THERE, id_of(source)) is None
    assert not (site.folder / "receivers").exists()
    sent = sender.send(source, reservation, told.append, never)
    delivery = Delivery(reservation=reservation, digest=sent.digest, sent_bytes=sent.sent_bytes)
    admission = site.intake.admit(delivery, never)

    assert sent.digest is not None
    assert told[-1].percent == 100
    assert admission.landed == str(drive / source.name)
    assert (drive / source.name).read_bytes() == source.read_bytes()


def test_what_was_sent_over_ssh_before_a_cut_is_not_sent_again(site: Site, source: Path, sshd: Sshd) -> None:
    size_bytes = source.stat().st_size
    part = Path(site.intake.reserve(site.order(source)).part or "")
    part.write_bytes(source.read_bytes()[: size_bytes * 3 // 4])

    delivery = site.send(source, site.intake.reserve(site.order(source, "two")))

    assert part.read_bytes() == source.read_bytes()
    assert delivery.sent_bytes < 0.3 * size_bytes
    assert site.intake.admit(delivery, never).verified.endswith("all bytes read back")


def test_an_ssh_that_does_not_get_through_says_why_and_what_to_try(
    site: Site, source: Path, sshd: Sshd
) -> None:
    reservation = site.intake.reserve(site.order(source))
    another = (sshd.folder / "user.pub").read_text("ascii")
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {another}", "ascii")

    with pytest.raises(TransferFailed, match=r"IDENTIFICATION HAS CHANGED.*ssh -o BatchMode=yes"):
        site.send(source, reservation)

    (sshd.folder / "user.pub").write_text("", "ascii")  # the key is known there no more
    public = (sshd.folder / "host.pub").read_text("ascii")
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {public}", "ascii")
    with pytest.raises(TransferFailed, match=r"Permission denied.*ssh -o BatchMode=yes"):
        site.send(source, reservation)
    assert Path(reservation.part or "").stat().st_size == 0


@pytest.mark.parametrize("login", ["-oProxyCommand=x", "a b@c", "chia@-x", "chia@host;ls", ""])
def test_a_login_that_ssh_would_take_for_something_else_is_no_route(login: str) -> None:
    with pytest.raises(ValueError, match="ssh"):
        Route(ssh=login)


def test_a_drive_over_ssh_is_named_to_no_shell(site: Site, drive: Path, source: Path, sshd: Sshd) -> None:
    forged = site.folder / "forged"
    words = f"{site.folder}/x;touch {forged};$(touch {forged})`touch {forged}` -e touch\\ {forged}"
    reservation = _reservation(source, Path(words))

    with pytest.raises(TransferFailed):
        site.send(source, Reservation(**reservation))

    assert not forged.exists()
    assert not list(site.folder.glob("x*"))
