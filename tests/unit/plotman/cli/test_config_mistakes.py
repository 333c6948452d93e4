"""Mistakes of every kind in a plotman.yaml: a line each with its key, its line and its cure, no traceback."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.errors import ExitCode
from plotman.cli.config import config
from tests.support.sections import FARMER

ADDRESS = "xch1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zsn5pv30"
FORK = "xfx1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2hxgjd"
GOOD = """\
version: [2]
farm: {state: %/state}
logging: {plots: %/state}
directories:
  tmp: [%/tmp]
  dst: [%/dst]
scheduling:
  global_max_jobs: 2
  global_stagger_m: 1
  polling_time_s: 20
  tmpdir_max_jobs: 1
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
plotting:
  chia: {executable: %/chia}
"""
DRIVES = "\nharvester: {drives: [%/drives/*], plain_folders: true, proofs: 0"
LOCAL = "\narchiving:\n  target: local_rsync\n  env: "


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("tmp", "dst", "state", "drives/a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "chia").write_text("#!/bin/sh\necho 2.7.5\n")
    (tmp_path / "chia").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "tmp")
    (tmp_path / "drives" / "b").symlink_to(tmp_path / "dst")
    return tmp_path / "plotman.yaml"


def check(file: Path, text: str | bytes) -> tuple[int, list[str]]:
    """(exit status, the report, without the file's name and with % for its folder)."""
    raw = text if isinstance(text, bytes) else text.replace("%", str(file.parent)).encode()
    file.write_bytes(raw)
    file.chmod(0o600)
    ran = CliRunner().invoke(config, ["check", str(file)])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), repr(ran.exception)
    lines = ran.stdout.removesuffix("\n").split("\n") if ran.stdout else []
    assert all(line.startswith(f"{file}:") for line in lines), lines
    return ran.exit_code, [line.removeprefix(f"{file}:").replace(str(file.parent), "%") for line in lines]


def test_the_file_that_the_mistakes_are_made_in_is_right(file: Path) -> None:
    assert check(file, GOOD) == (ExitCode.OK, [])


ERRORS = [
    # Numbers, lists and switches of another kind.
    ("max_jobs: 2", "max_jobs: on", "8: scheduling.global_max_jobs: true is not a whole number"),
    ("stagger_m: 1", "stagger_m: yes", "9: scheduling.global_stagger_m: true is not a number"),
    ("stagger_m: 1", "stagger_m: 1:30", "9: scheduling.global_stagger_m: '1:30' is not a number"),
    ("stagger_m: 1", "stagger_m: 1.0e+300", "9: scheduling.global_stagger_m: 1e+300 is more than 527040"),
    ("stagger_m: 1", "stagger_m: .nan", "9: scheduling.global_stagger_m: NaN is not a finite number"),
    ("max_jobs: 2", "max_jobs: 1000000000000000000",
     "8: scheduling.global_max_jobs: 1000000000000000000 is more than 1000000000000000"),
    ("max_jobs: 2", f"max_jobs: {'9' * 5000}", "8: scheduling.global_max_jobs: '9999"),
    ("max_jobs: 2", f"max_jobs: 0x{'f' * 5000}", "8: scheduling.global_max_jobs: '0xfff"),
    ("max_jobs: 2", "max_jobs: !!int two", "8: a value does not fit its tag (!!). Remove the tag"),
    ("max_jobs: 2", "max_jobs: !!bool two", "8: a value does not fit its tag (!!)"),
    ("max_jobs: 2", "max_jobs: -1", "8: scheduling.global_max_jobs: -1 is less than 0. Write 0 or more"),
    ("max_jobs: 2", "max_jobs: 2\n  stall_minutes: 0", "9: scheduling.stall_minutes: 0 is not more than 0"),
    ("tmp: [%/tmp]", "tmp: ''", "5: directories.tmp: '' is not a list. Write, for example: ["),
    ("tmp: [%/tmp]", "tmp: [null]", "5: directories.tmp.0: nothing is not text"),
    ("tmp: [%/tmp]", "tmp: [%/tmp, %/dst",
     "6: not YAML: expected ',' or ']', but got ':'. Close the bracket"),
    # Keys.
    ("max_jobs: 2", "max_jobs: 2\n  max_jobs: 2",
     "9: scheduling.max_jobs: unknown key. Did you mean tmpdir_max_jobs or global_max_jobs?"),
    ("plotting:", "on: 1\nplotting:", "14: on: unknown key. Write one of: version, farm"),
    ("plotting:", "1.5: 1\nplotting:", "14: 1.5: unknown key"),
    ("plotting:", "2026-99-99: 1\nplotting:", "14: 2026-99-99: unknown key"),
    ("plotting:", '"a\\e[31m\\nb": 1\nplotting:', "14: a\\x1b[31m\\nb: unknown key"),
    ("plotting:", '"\\ud800": 1\nplotting:', "14: \\ud800: contains an invalid character"),
    ("  chia:", "  type:chia\n  chia:", "15: a key without a colon and a space"),
    ("  chia:", "  type = chia\n  chia:", "15: a key without a colon and a space"),
    ("  chia:", "\xa0 type: chia\n  chia:", "15: a no-break space; YAML is indented with spaces"),
    # Folders.
    ("tmp: [%/tmp]", "tmp: [%/chia]", "5: directories.tmp.0: %/chia is not a folder. Write a folder here"),
    ("tmp: [%/tmp]", "tmp: [/proc]", "5: directories.tmp.0: /proc is on a file system without files"),
    ("tmp: [%/tmp]", "tmp: ['%/tmp ']",
     "5: directories.tmp.0: %/tmp  does not exist. Remove the blank at the end of its name"),
    ("tmp: [%/tmp]", 'tmp: ["%/t\\0"]', "5: directories.tmp.0: contains an invalid character"),
    ("tmp: [%/tmp]", 'tmp: ["%/t\\nmp"]', "5: directories.tmp.0: contains a line break"),
    ("tmp: [%/tmp]", f"tmp: [%/{'x' * 300}]", "5: directories.tmp.0: contains a name of more than 255 bytes"),
    ("state: %/state", f"state: /{'x' * 300}", "2: farm.state: contains a name of more than 255 bytes"),
    ("plots: %/state", "transfers: %/chia/x}\narchiving: {target: harvester",
     "3: logging.transfers: %/chia is a file"),
    ("\nlogging", f"{DRIVES}}}\narchiving: {{target: harvester}}\nlogging",
     "3: harvester.drives: %/drives/b is the same folder as %/dst: finished plots would be moved away"),
    ("\nlogging", "\nharvester: {drives: ['%/d*'], plain_folders: true, proofs: 0}\narchiving: {}\nlogging",
     "8: directories.dst.0: %/dst is also one of harvester.drives: finished plots would be moved away"),
    # Programs.
    ("%/chia", "''", "15: plotting.chia.executable: no program is named"),
    ("%/chia", "./chia", "15: plotting.chia.executable: ./chia is not a full path, and plotman"),
    ("%/chia", "'~/chia'", "15: plotting.chia.executable: ~/chia is not a full path"),
    ("%/chia", "'sh plots create'",
     "15: plotting.chia.executable: there is no program 'sh plots create'. Write sh"),
    ("%/chia", "/dev/null", "15: plotting.chia.executable: /dev/null is not a program"),
    ("%/chia", "[chia]", "15: plotting.chia.executable: a list is not text"),
    ("\nlogging", "\nnotifications: {targets: {a: {command: [/nope]}}}\nlogging",
     "3: notifications.targets.a.command: its program does not exist"),
    # The farm.
    ("state: %/state", "broker: 'redis://h:0'", "2: farm.broker: is not the address of a Redis server"),
    ("state: %/state", "broker: 'redis://h/zero'", "2: farm.broker: is not the address of a Redis server"),
    ("state: %/state", "broker: 'redis://a b'", "2: farm.broker: is not the address of a Redis server"),
    ("state: %/state", f"host: {'a' * 254}", "2: farm.host: is not a name of letters"),
    ("state: %/state", "history_days: 999999999", "2: farm.history_days: 999999999 is more than 36600"),
    ("\nlogging", f"{DRIVES}, receiver_address: a b}}\nlogging",
     "3: harvester.receiver_address: is neither a host name"),
    ("\nlogging", f"{DRIVES}, door_port: 8731}}\nlogging",
     "3: harvester.door_port: unknown key. Did you mean receiver_port?"),
    # Archiving.
    ("\nlogging", f"{LOCAL}{{site_root: ''}}\nlogging", "5: archiving.env.site_root: is not a full path"),
    ("\nlogging", f"{LOCAL}{{site_root: farm}}\nlogging", "5: archiving.env.site_root: is not a full path"),
    ("\nlogging", f"{LOCAL}{{site_root: /, '': 3}}\nlogging",
     "5: archiving.env: '' is not the name of a variable"),
    ("\nlogging", f"{LOCAL}{{site_root: /, 'a=b': 3}}\nlogging",
     "5: archiving.env: 'a=b' is not the name of"),
    ("\nlogging", f"{LOCAL}{{site_root: /, ssh_port: on}}\nlogging",
     "5: archiving.env.ssh_port: is not a port number"),
    ("\nlogging", f"{LOCAL}{{site_root: /, site_path_filter: '['}}\nlogging",
     "5: archiving.env.site_path_filter: is not a regular expression of grep"),
    ("\nlogging", f"{LOCAL}{{site_root: /, site_path_filter: null}}\nlogging",
     "5: archiving.env.site_path_filter: nothing is not text. Write a value, or remove the key"),
    ("plotting:", f"plotting:\n  pool_contract_address: {ADDRESS.replace('s2', 's3', 1)}",
     "15: plotting.pool_contract_address: every plot would fail: it has a typing error"),
    ("plotting:", f"plotting:\n  farmer_pk: '{'1' * 96}'",
     "15: plotting.farmer_pk: every plot would fail: it is not a public key"),
    ("plotting:", f"plotting:\n  pool_pk: {FARMER[:-1]}b",
     "15: plotting.pool_pk: every plot would fail: it has a typing error: no public key has these digits."),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), ERRORS)
def test_an_error_is_told_in_a_line_with_its_cure(file: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    status, lines = check(file, GOOD.replace(old, new, 1))
    assert status == ExitCode.CONFIG
    found = [line for line in lines if line.startswith(told)]
    assert len(found) == 1, lines
    assert re.search(r"[.?] \S.{3,}$", found[0]), "without a cure"


WARNINGS = [
    ("tmp: [%/tmp]", "tmp: [%/tmp, %/link]",
     "5: warning: directories.tmp.1: %/link is the same folder as %/tmp"),
    ("state: %/state", "state: %/state, max_jobs: 0",
     "2: warning: farm.max_jobs: is 0: no plot will ever start"),
    ("state: %/state", "state: %/state, metrics_port: 5555",
     "2: warning: farm.metrics_port: is also Flower's port"),
    ("state: %/state", "state: state", "2: warning: farm.state: 'state' is taken as relative to the folder"),
    ("plotting:", f"plotting:\n  pool_contract_address: {ADDRESS}", None),
    ("plotting:", f"plotting:\n  farmer_pk: {FARMER}", None),
    ("plotting:", f"plotting:\n  pool_contract_address: {FORK}",
     "15: warning: plotting.pool_contract_address: begins with xfx1, and addresses of Chia begin with xch1"),
    ("max_jobs: 2", "max_jobs: 2\n  tmp_overrides:\n    %/tmp:\n      # tmpdir_max_jobs: 3", None),
    ("\nlogging", f"{LOCAL}{{site_root: %/drives}}\nlogging",
     "5: warning: archiving.env.site_root: no drive is mounted below %/drives, so no plot would be moved"),
    ("\nlogging", f"{LOCAL}{{site_root: /, site_path_filter: nope$}}\nlogging",
     "5: warning: archiving.env.site_path_filter: matches none of the drives below /"),
    ("\nlogging", f"{LOCAL}{{site_root: /, site_path_filer: x}}\nlogging",
     "5: warning: archiving.env.site_path_filer: is not a variable of local_rsync. "
     "Did you mean site_path_filter?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), WARNINGS)
def test_a_warning_leaves_the_file_in_use(file: Path, old: str, new: str, told: str | None) -> None:
    assert old in GOOD
    status, lines = check(file, GOOD.replace(old, new, 1))
    assert status == ExitCode.OK, lines
    assert [line for line in lines if line.startswith(told or "\n")] == (lines if told else []), lines
    assert bool(lines) is bool(told)


def bomb(values: int = 9, rounds: int = 9) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * values)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * values)}]" for n in range(1, rounds)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bomb() + GOOD, "expands to more than 20000 values"),
        (GOOD + "".join(f"k{n}: 1\n" for n in range(30_000)), "expands to more than 20000 values"),
        (GOOD + "x: " + "[" * 5000 + "]" * 5000 + "\n", "is nested more than 20 deep"),
        (GOOD + "x: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n", "is nested more than 20 deep"),
        ("- " * 400_000, "is nested more than 20 deep"),
        (GOOD + "# " + "x" * 10_000_000, "has more than 1 MiB, which is no plotman.yaml"),
        (GOOD.encode("utf-16"), "contains bytes that are not UTF-8"),
        (bytes(range(256)) * 50, "contains bytes that are not UTF-8"),
        (GOOD + "---\n" + GOOD, "not YAML: but found another document"),
    ],
    ids=["aliases", "keys", "lists", "maps", "dashes", "10 MB", "UTF-16", "binary", "two documents"],
)
def test_a_file_that_is_none_of_ours_is_refused_in_one_line(file: Path, text: str | bytes, told: str) -> None:
    began_s = time.monotonic()
    status, lines = check(file, text)
    assert status == ExitCode.CONFIG
    assert len(lines) == 1 and told in lines[0] and re.search(r"\. \S.{3,}$", lines[0]), lines
    assert time.monotonic() - began_s < 20


def test_an_endless_file_is_not_read_to_its_end() -> None:
    ran = CliRunner().invoke(config, ["check", "/dev/zero"])
    assert (ran.exit_code, ran.stdout.count("\n")) == (ExitCode.CONFIG, 1)
    assert "has more than 1 MiB" in ran.stdout


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    text = GOOD
    for old, new in (
        ("dst: [", "dts: ["),
        ("max_jobs: 2", "max_jobs: off"),
        ("stagger_m: 1", "stagger_m: soon"),
        ("%/tmp", "%/nowhere"),
        ("%/chia", "%/chai"),
    ):
        text = text.replace(old, new, 1)
    status, lines = check(file, text)
    assert status == ExitCode.CONFIG
    assert [line.split(": ")[1] for line in lines] == [
        "directories.tmp.0",
        "directories.dts",
        "scheduling.global_max_jobs",
        "scheduling.global_stagger_m",
        "plotting.chia.executable",
    ]
