"""The scripts of local_rsync and rsyncd, run with a `df`, an `ssh` and an `rsync` that tell what they get."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.config.sections.targets import PRESETS

DF = """\
Filesystem     1024-blocks      Used Available Capacity Mounted on
/dev/root         20000000  10000000  10000000      50% /
/dev/sda1      17000000000 100000000      1000       1% /farm/sites/01
/dev/sdb1      17000000000 100000000 16900000000     1% /farm/sites/my drive
/dev/sdc1      17000000000 100000000      2000       1% /farm/sites2/03
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    programs = {
        "df": f"cat <<'END'\n{DF}END",
        "ssh": 'shift 3; [ "$*" = "df -aPk" ] && exec "$@"',
        "rsync": 'for word; do echo "<$word>"; done',
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    def run(target: str, step: str, **given: str) -> str:
        preset = PRESETS[target]
        script = tmp_path / "script"
        script.write_text(getattr(preset, f"{step}_script"))
        script.chmod(0o755)
        env = {key: value for key, value in {**preset.env, **given}.items() if value is not None}
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [script], env={**env, "PATH": path}, capture_output=True, check=True, text=True
        ).stdout

    return run


FAR = {"user": "chia", "host": "myfarmer", "site": "plots"}


@pytest.mark.parametrize(("target", "more"), [("local_rsync", {}), ("rsyncd", FAR)])
@pytest.mark.parametrize("root", ["/farm/sites", "/farm/sites/"])
def test_free_space_is_told_of_the_drives_below_site_root(
    run: Run, target: str, more: dict[str, str], root: str
) -> None:
    told = run(target, "disk_space", site_root=root, **more)
    assert told.splitlines() == ["/farm/sites/01:1024000", "/farm/sites/my drive:17305600000000"]


@pytest.mark.parametrize(("target", "more"), [("local_rsync", {}), ("rsyncd", FAR)])
@pytest.mark.parametrize("root", ["/farm/sites2/03", "/farm/sites2/03/"])
def test_where_no_drive_is_below_it_site_root_is_the_drive_itself(
    run: Run, target: str, more: dict[str, str], root: str
) -> None:
    assert run(target, "disk_space", site_root=root, **more) == "/farm/sites2/03:2048000\n"


FIRST, SECOND = "/farm/sites/01:1024000", "/farm/sites/my drive:17305600000000"


@pytest.mark.parametrize(
    ("pattern", "drives"),
    [
        (".*", [FIRST, SECOND]),
        ("", [FIRST, SECOND]),
        ("drive", [SECOND]),
        ("m. drive$", [SECOND]),
        ("/[0-9]*$", [FIRST]),
        ("^/farm/sites/\\(01\\|02\\)", [FIRST]),
        ("01", [FIRST]),
        ("-e", None),  # no option of grep
        ("sda1", None),  # the device is no part of the path
        ("1024000", None),
    ],
)
@pytest.mark.parametrize(("target", "more"), [("local_rsync", {}), ("rsyncd", FAR)])
def test_the_forks_filter_is_a_regular_expression_of_the_drives_path(
    run: Run, target: str, more: dict[str, str], pattern: str, drives: list[str] | None
) -> None:
    if drives is None:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(target, "disk_space", site_root="/farm/sites", site_path_filter=pattern, **more)
        assert "site_path_filter matches no drive below /farm/sites" in failed.value.stderr
    else:
        told = run(target, "disk_space", site_root="/farm/sites", site_path_filter=pattern, **more)
        assert told.splitlines() == drives


def test_a_filter_that_grep_does_not_take_fails_with_its_words(run: Run) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("local_rsync", "disk_space", site_root="/farm/sites", site_path_filter="[")
    assert failed.value.returncode == 2 and "grep" in failed.value.stderr


def test_without_a_drive_the_filter_is_not_asked(run: Run) -> None:
    assert run("local_rsync", "disk_space", site_root="/nowhere", site_path_filter="x") == ""


@pytest.mark.parametrize(
    ("suffix", "destination"), [("", "/farm/sites/my drive/"), ("plots", "/farm/sites/my drive/plots/")]
)
def test_local_rsync_gets_options_source_and_folder(run: Run, suffix: str, destination: str) -> None:
    told = run(
        "local_rsync",
        "transfer",
        site_root="/farm/sites",
        source="/dst/a.plot",
        destination="/farm/sites/my drive",
        path_suffix=suffix,
    )
    words = [line[1:-1] for line in told.splitlines()]
    options = PRESETS["local_rsync"].env["options"]
    assert options and words == [*options.split(), "/dst/a.plot", destination]


@pytest.mark.parametrize("root", ["/farm/sites", "/farm/sites/"])
@pytest.mark.parametrize(("suffix", "below"), [("", "01/"), ("plots", "01/plots/")])
def test_rsyncd_gets_the_drive_as_a_folder_of_its_module(
    run: Run, root: str, suffix: str, below: str
) -> None:
    told = run(
        "rsyncd",
        "transfer",
        site_root=root,
        source="/dst/a.plot",
        destination="/farm/sites/01",
        path_suffix=suffix,
        **FAR,
    )
    assert told.splitlines()[-1] == f"<rsync://chia@myfarmer:873/plots/{below}>"


@pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync here")
def test_local_rsync_moves_a_plot_with_the_real_rsync(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "a.plot").write_bytes(b"plot")
    preset = PRESETS["local_rsync"]
    (tmp_path / "script").write_text(preset.transfer_script or "")
    env = {key: value for key, value in preset.env.items() if value is not None}
    given = {"source": str(tmp_path / "a.plot"), "destination": str(tmp_path / "drive")}
    subprocess.run(["sh", tmp_path / "script"], env={**os.environ, **env, **given}, check=True)
    assert (tmp_path / "drive" / "a.plot").read_bytes() == b"plot"
    assert not (tmp_path / "a.plot").exists()


@pytest.mark.parametrize(("target", "more"), [("local_rsync", {}), ("rsyncd", FAR)])
def test_without_an_answer_the_script_fails_with_the_programs_words(
    tmp_path: Path, run: Run, target: str, more: dict[str, str]
) -> None:
    (tmp_path / "df").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        run(target, "disk_space", site_root="/farm/sites", **more)


def test_a_df_that_cannot_read_one_of_many_mounts_still_tells_of_the_others(tmp_path: Path, run: Run) -> None:
    with (tmp_path / "df").open("a") as program:
        program.write("\nexit 1\n")
    assert len(run("local_rsync", "disk_space", site_root="/farm/sites").splitlines()) == 2
