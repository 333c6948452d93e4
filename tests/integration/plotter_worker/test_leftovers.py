"""Leftovers of real plotters that were killed, beside others that run or are suspended."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from common.system.openfile import is_open_elsewhere
from common.system.plotfile import expected_size_bytes, read_header
from plotter_worker.leftovers.delete import Report, Wanted, delete
from plotter_worker.leftovers.evidence import Watched, gather, list_scratch
from plotter_worker.leftovers.rules import QUIET_S, Evidence, File, KeptFile, sort
from plotter_worker.processes.launch import STATE_VARIABLE
from tests.support import formats
from tests.support.farm import Farm
from tests.support.sections import FARMER, POOL
from tests.support.waiting import eventually

ID = "c" * 64
NAME = f"plot-k32-2026-11-22-11-28-{ID}"


def evidence() -> Evidence:
    """What runs on this machine, without the plotters of others: of one whose directories do not exist nobody
    knows what it uses, and it would speak for every file here."""
    seen = gather({})
    return replace(seen, plotters=tuple(live for live in seen.plotters if is_ours(live.pid)))


def is_ours(pid: int) -> bool:
    try:
        return psutil.Process(pid).ppid() == os.getpid()
    except psutil.NoSuchProcess:
        return False


def look(*folders: Path) -> tuple[list[File], list[KeptFile]]:
    files, troubles = list_scratch(map(str, folders))
    assert troubles == []
    return sort(files, evidence(), time.time())


def remove(files: list[File], *folders: Path) -> Report:
    wanted = [Wanted(file.path, file.inode, file.mtime_ns, file.size_bytes) for file in files]
    return delete(wanted, [str(folder) for folder in folders], evidence, QUIET_S)


def make_old(*folders: Path) -> None:
    """As if nobody had touched what lies there for two hours."""
    then = time.time() - 7200
    for path in (path for folder in folders for path in folder.iterdir()):
        with suppress(FileNotFoundError):  # a plotter that runs deletes some
            os.utime(path, (then, then), follow_symlinks=False)


@contextmanager
def as_nobody() -> Iterator[None]:
    """See the machine as a user who may not look into others' processes."""
    if os.geteuid() != 0:
        pytest.skip("being two users needs root")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_only_files_of_a_killed_plotter_are_deleted_while_others_plot_in_its_directory(farm: Farm) -> None:
    tmp, tmp2, dst = (farm.folder / name for name in ("tmp", "tmp2", "dst"))
    for folder in (tmp, tmp2, dst):
        folder.mkdir()

    def plotter(output: int | Path, k: int) -> subprocess.Popen[bytes]:
        argv = [
            farm.chia,
            "plotters",
            "chiapos",
            "-k",
            str(k),
            "-r",
            "1",
            "-b",
            "200",
            "-u",
            "16",
            "-s",
            "2000",
        ]
        argv += ["-f", FARMER, "-p", POOL, "-t", tmp, "-2", tmp2, "-d", dst, "-x"]
        stdout = output.open("wb") if isinstance(output, Path) else output
        child = subprocess.Popen(argv, env=farm.by_hand, stdin=subprocess.DEVNULL, stdout=stdout)
        farm.processes.append(child)
        return child

    killed, suspended, running = (plotter(farm.folder / f"{n}.log", k) for n, k in enumerate((20, 20, 21)))
    silent = plotter(subprocess.DEVNULL, 20)  # no log tells its plot
    ids = eventually(lambda: ids if len(ids := plot_ids(tmp)) == 4 else None, "all four plot", 60)
    for child in (suspended, silent):
        child.send_signal(signal.SIGSTOP)
    killed.kill()
    killed.wait()
    log = (farm.folder / "0.log").read_text()
    dead = next(plot_id for plot_id in ids if plot_id in log)
    left = {path.name for folder in (tmp, tmp2) for path in folder.iterdir() if dead in path.name}

    young, kept = look(tmp, tmp2, dst)
    assert young == []
    assert "ago, less than 5m 0s" in " ".join(entry.reason for entry in kept if dead in entry.file.name)
    make_old(tmp, tmp2)
    found, kept = look(tmp, tmp2, dst)
    assert {file.name for file in found} == left
    assert {plot_id for plot_id in ids if any(plot_id in entry.file.name for entry in kept)} == ids - {dead}

    # With each request others' files stay.
    report = remove([*(entry.file for entry in kept), *found], tmp, tmp2, dst)
    assert {Path(path).name for path in report.deleted} == left
    assert report.freed_bytes == sum(file.allocated_bytes for file in found)
    for child in (suspended, silent):
        child.send_signal(signal.SIGCONT)
    for child in (suspended, silent, running):
        assert child.wait(timeout=120) == 0
    plots = list(dst.glob("*.plot"))
    assert {path.stem[-64:] for path in plots} == ids - {dead}
    assert all(plot.stat().st_size == expected_size_bytes(read_header(plot)) for plot in plots)

    # A whole plot that lacks only its name, as when its way to dst failed, is worth a look by an operator.
    whole = plots[0].rename(f"{plots[0]}.2.tmp")
    cut = dst / f"{NAME}.plot.2.tmp"
    cut.write_bytes(whole.read_bytes()[:-1])
    make_old(dst)
    found, kept = look(dst)
    assert [file.name for file in found] == [cut.name]
    assert [(entry.file.name, f"rename it to {plots[0].name}," in entry.reason) for entry in kept] == [
        (whole.name, True)
    ]


def plot_ids(folder: Path) -> set[str]:
    names = (path.name for path in folder.glob("plot-*.tmp"))
    return {name.partition(".")[0][-64:] for name in names}


def test_only_unchanged_plain_files_are_deleted(tmp_path: Path) -> None:
    tmp, elsewhere = tmp_path / "tmp", tmp_path / "elsewhere"
    tmp.mkdir()
    elsewhere.mkdir()
    scratch = [f"{NAME}.plot.table1.tmp", f"{NAME}.p1.t2.sort_bucket_0.tmp", f"{NAME}.plot.tmp", "t1_0.tmp"]
    changed, replaced = f"plot-k32-{'d' * 64}.plot.table1.tmp", f"plot-k32-{'e' * 64}.plot.table1.tmp"
    for name in (*scratch, changed, replaced, f"{NAME}.plot", "mine.tmp"):
        (tmp / name).write_bytes(bytes(5000))
    (elsewhere / f"{NAME}.plot.sort.tmp").write_bytes(bytes(5000))
    (tmp / f"{NAME}.plot.sort.tmp").symlink_to(elsewhere / f"{NAME}.plot.sort.tmp")
    (tmp / f"{NAME}.plot.table7.tmp").mkdir()
    os.mkfifo(tmp / f"{NAME}.plot.table6.tmp")
    make_old(tmp, elsewhere)
    others = {path.name for path in tmp.iterdir()} - {*scratch}

    found, kept = look(tmp)
    assert {file.name for file in found} == {*scratch, changed, replaced}
    assert kept == []

    (tmp / changed).write_bytes(bytes(6000))
    (tmp / replaced).rename(tmp_path / "kept")
    (tmp / replaced).write_bytes(bytes(5000))
    old = found[0].mtime_ns
    os.utime(tmp / replaced, ns=(old, old))
    foreign, _ = look(elsewhere)
    report = remove([*found, *foreign], tmp)
    assert {Path(path).name for path in report.deleted} == {*scratch}
    reasons = {Path(path).name: reason for path, reason in report.refused}
    assert reasons[replaced] == "it has changed since it was listed"
    assert "was changed" in reasons[changed]
    assert reasons[f"{NAME}.plot.sort.tmp"] == "it is in no tmp or dst directory of this host"
    assert {path.name for path in tmp.iterdir()} == others
    assert list(elsewhere.iterdir())


def test_bladebit_s_files_are_kept_while_a_bladebit_of_any_user_works_there(tmp_path: Path) -> None:
    used, unused = tmp_path / "used", tmp_path / "unused"
    alias = tmp_path / "alias"
    for folder in (used, unused):
        folder.mkdir()
        (folder / "t1_0.tmp").write_bytes(bytes(5000))
        make_old(folder)
    alias.symlink_to(used)
    program = tmp_path / "bladebit"
    program.write_text(f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)

    marked = os.environ | {STATE_VARIABLE: str(tmp_path)}  # farms of other tests leave it alone

    def while_running(*arguments: str) -> list[str]:
        child = subprocess.Popen([program, *arguments], cwd=tmp_path, env=marked)
        try:
            eventually(lambda: str(program).encode() in cmdline(child.pid), "it shows")
            found, kept = look(used, unused)
            assert remove([entry.file for entry in kept], used, unused).deleted == []
            return [Path(file.folder).name for file in found]
        finally:
            child.kill()
            child.wait()

    diskplot = ["-f", "f", "-p", "p", "diskplot", "-t1"]
    assert while_running(*diskplot, str(used), str(unused)) == []
    assert while_running(*diskplot, str(alias), str(tmp_path)) == ["unused"]
    assert while_running(*diskplot, "used", ".") == ["unused"]
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o005:
            path.chmod(0o755)
    with as_nobody():  # a relative directory of a process whose own directory cannot be read
        os.seteuid(0)
        child = subprocess.Popen([program, *diskplot, "used", "."], cwd=tmp_path, env=marked)
        eventually(lambda: str(program).encode() in cmdline(child.pid), "it shows")
        os.seteuid(65534)
        try:
            found, kept = look(used, unused)
            assert found == []
            assert all(f"bladebit pid {child.pid} of root" in entry.reason for entry in kept)
        finally:
            os.seteuid(0)
            child.kill()
            child.wait()


def test_where_a_plot_is_being_started_files_without_its_id_are_kept(tmp_path: Path) -> None:
    for name in (f"{NAME}.plot.table1.tmp", "t1_0.tmp"):
        (tmp_path / name).write_bytes(bytes(10))
    make_old(tmp_path)
    found, _ = look(tmp_path)
    starting = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)  # as jobs/start.py does
    try:
        fcntl.flock(starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        report = remove(found, tmp_path)
    finally:
        os.close(starting)
    assert report.refused == [(str(tmp_path / "t1_0.tmp"), "a plot is being started in its directory")]
    assert [path.name for path in tmp_path.iterdir()] == ["t1_0.tmp"]
    assert remove(found, tmp_path).deleted == [str(tmp_path / "t1_0.tmp")]


def test_a_refusal_names_the_reason(tmp_path: Path) -> None:
    away = tmp_path / "away"
    names = [tmp_path / "t1_0.tmp", tmp_path / "notes.txt", away / "t1_0.tmp"]
    report = delete([Wanted(str(path), 1, 1, 1) for path in names], [str(tmp_path), str(away)], Evidence, 300)
    assert [reason for _, reason in report.refused] == [
        "it no longer exists, or is no plain file",
        "its name is not one of a plotter's unfinished files",
        f"{away} does not exist, or its drive does not answer",
    ]


def test_a_job_of_a_plotter_that_is_not_installed_any_more_keeps_its_files(tmp_path: Path) -> None:
    own, other, opened = (tmp_path / f"plot-k32-2026-11-22-11-28-{one * 64}.plot.tmp" for one in "cde")
    for path in (own, other, opened):
        path.write_bytes(b"x")
    table = tmp_path / "elsewhere" / opened.name.replace(".tmp", ".table1.tmp")
    table.parent.mkdir()
    with table.open("wb") as output, subprocess.Popen(["sleep", "600"], stdout=output) as child:
        try:
            jobs = {child.pid: Watched("gone-plotter", frozenset({ID}))}
            files, _ = list_scratch([str(tmp_path)])
            seen = gather(jobs)
            (live,) = (live for live in seen.plotters if live.pid == child.pid)
            assert (live.plotter, live.plot_ids) == ("gone-plotter", {ID, "e" * 64})
            evidence = replace(seen, plotters=(live,), open_names=frozenset())
            late = time.time() + 7200
            found, kept = sort(files, evidence, late)
            assert (found, len(kept)) == ([], 3)
            make_old(tmp_path)
            files, _ = list_scratch([str(tmp_path)])
            found, kept = sort(files, evidence, late)
            assert [file.name for file in found] == [other.name], "it is older, and of no plot of the job"
            found, _ = sort(files, replace(evidence, plotters=()), late)
            assert len(found) == 3
        finally:
            child.kill()
    assert all(live.pid != child.pid for live in gather(jobs).plotters), "it has ended"


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_unfinished_files_of_xchplot2_are_deleted_when_it_has_ended_but_no_keys(
    tmp_path: Path,
) -> None:
    partial = tmp_path / f"plot-k28-{ID}.gplot.partial.aB3dEf"
    whole = formats.make_group(tmp_path)
    whole = whole.rename(f"{whole}.partial.aB3dEf")
    keys = tmp_path / f"xchplot2-job-{ID}.tsv"
    keys.write_bytes(b"keys")
    program = tmp_path / "xchplot2"
    program.write_text(f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    marked = os.environ | {STATE_VARIABLE: str(tmp_path)}  # farms of other tests leave it alone
    with partial.open("wb") as output:
        output.write(b"half a plot")
        output.flush()
        make_old(tmp_path)
        argv = [program, "plot", "-n", "3", "-o", tmp_path]
        with subprocess.Popen(argv, env=marked, pass_fds=[output.fileno()]) as child:
            try:
                eventually(lambda: str(program).encode() in cmdline(child.pid), "it shows")
                assert partial.name in gather({}).open_names
                assert look(tmp_path)[0] == []
            finally:
                child.kill()
    found, kept = look(tmp_path)
    assert [file.name for file in found] == [partial.name]
    assert [entry.file.name for entry in kept] == [whole.name]
    refused = Wanted(str(keys), keys.stat().st_ino, keys.stat().st_mtime_ns, keys.stat().st_size)
    report = remove([*found, *(entry.file for entry in kept)], tmp_path)
    assert report.deleted == [str(partial)]
    assert delete([refused], [str(tmp_path)], evidence, QUIET_S).deleted == []
    assert keys.read_bytes() == b"keys" and whole.exists()


def test_the_kernel_knows_files_that_any_process_has_open(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.plot.table1.tmp"
    path.write_bytes(bytes(10))
    make_old(tmp_path)
    assert is_open_elsewhere(path) is False
    with path.open("rb"):
        assert is_open_elsewhere(path) is True
        found, kept = look(tmp_path)
        assert found == []
        assert kept[0].reason == "a process has a file of this plot open"
    assert [file.name for file in look(tmp_path)[0]] == [path.name]
