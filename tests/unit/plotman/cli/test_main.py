"""The `plotman` command as a whole: its verbs, their help, and how errors read."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from importlib.metadata import version as installed
from pathlib import Path

import pytest
from click.testing import CliRunner

from plotman.cli import _MODULE_OF, cli


def run(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin"} | ({"PLOTMAN_CONFIG": str(config)} if config else {})
    command = (sys.executable, "-m", "plotman", *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", sorted(_MODULE_OF))
def test_every_verb_has_help(verb: str) -> None:
    shown = CliRunner().invoke(cli, [verb, "--help"])
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) > 4


def test_the_option_version_prints_what_the_verb_prints() -> None:
    option, verb = run("--version"), run("version")
    assert (option.returncode, option.stderr) == (0, "")
    assert option.stdout == verb.stdout == f"plotman {installed('plotman')}\n"


def test_a_misspelt_verb_gets_the_nearest_one() -> None:
    shown = CliRunner().invoke(cli, ["staus"])
    assert shown.exit_code == 2
    assert "Did you mean `status`?" in shown.output


def test_a_missing_configuration_is_one_line_with_its_cure_and_exit_code_3(tmp_path: Path) -> None:
    shown = run("status", config=tmp_path / "none.yaml")
    assert shown.returncode == 3
    assert len(shown.stderr.splitlines()) == 1
    assert "plotman config generate" in shown.stderr


def test_a_missing_broker_is_one_line_with_its_cure_and_exit_code_4(tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    state = f"farm: {{state: {tmp_path}}}\n" + "harvester: {drives: [/mnt/farm/*]}\n"
    config.write_text(f"version: [2]\n{state}", encoding="utf-8")
    shown = run("status", config=config)
    assert shown.returncode == 4
    assert len(shown.stderr.splitlines()) == 1
    assert "plotman up" in shown.stderr


def test_interactive_names_the_streams_that_are_no_terminal(tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    config.write_text(
        f"version: [2]\nfarm: {{state: {tmp_path}}}\nharvester: {{drives: [/mnt/farm/*]}}\n", encoding="utf-8"
    )
    master, terminal = pty.openpty()
    command = (sys.executable, "-m", "plotman", "interactive")
    environment = {"PATH": "/usr/bin:/bin", "PLOTMAN_CONFIG": str(config)}
    for stdin, names in ((terminal, "stderr"), (subprocess.DEVNULL, "stdin and stderr")):
        shown = subprocess.run(
            command, env=environment, stdin=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert (shown.returncode, f"a terminal on {names}: do not redirect" in shown.stderr) == (2, True)
    os.close(master)
    os.close(terminal)


def test_a_broker_that_does_not_answer_is_one_line_with_its_address_and_cure(tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    farm = "farm: {broker: 'redis://:sekret@127.0.0.1:1/0'}\nharvester: {drives: [/mnt/farm/*]}\n"
    config.write_text(f"version: [2]\n{farm}", encoding="utf-8")
    shown = run("status", config=config)
    assert shown.returncode == 4
    (line,) = shown.stderr.splitlines()
    assert "redis://:***@127.0.0.1:1/0 does not answer: " in line
    assert "farm.broker" in line and ".." not in line


def test_what_the_machine_refuses_is_one_line_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "plotman.yaml"
    config.write_text(
        f"version: [2]\nfarm: {{state: {tmp_path}/file/state}}\nharvester: {{drives: [/mnt/farm/*]}}\n",
        encoding="utf-8",
    )
    shown = run("up", config=config)
    assert shown.returncode == 1
    assert shown.stderr == f"plotman: {tmp_path}/file/state: Not a directory.\n"


@pytest.mark.parametrize("arguments", [("version",), ("--version",), ("config", "generate"), ("--help",)])
def test_a_full_disk_behind_the_output_is_one_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = (sys.executable, "-m", "plotman", *arguments)
        shown = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stderr == "plotman: No space left on device.\n"


def test_looking_at_the_farm_loads_no_more_than_it_shows(broker_url: str, tmp_path: Path) -> None:
    """Half of what a look takes is loading: what was left out had better not creep in again."""
    config = tmp_path / "plotman.yaml"
    config.write_text(f"version: [2]\nfarm: {{broker: '{broker_url}'}}\n", encoding="utf-8")
    heavy = ("celery", "kombu", "textual", "rich", "redis", "asyncio", "platformdirs", "plotter_worker")
    code = f"""
import sys
from click.testing import CliRunner
from plotman.cli import cli

for verb in (["status"], ["dirs"], ["dsched"], ["status", "--json"]):
    shown = CliRunner().invoke(cli, verb)
    assert shown.exit_code == 0, shown.output
loaded = [name for name in {(*heavy, "common.config.model")} if name in sys.modules]
print(loaded)
"""
    environment = {"PATH": "/usr/bin:/bin", "PLOTMAN_CONFIG": str(config)}
    shown = subprocess.run(
        (sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=False
    )
    assert (shown.stdout.strip(), shown.stderr) == ("[]", "")


@pytest.mark.parametrize("text", ["version: [2]\nfarm: {brokr: 'redis://far'}\n", "version: [2]\nfarm: 7\n"])
def test_to_look_is_refused_by_a_wrong_section_farm_with_all_its_errors(tmp_path: Path, text: str) -> None:
    config = tmp_path / "plotman.yaml"
    config.write_text(text + "scheduling: 8\n", encoding="utf-8")
    shown = run("status", config=config)
    assert shown.returncode == 3
    assert len(shown.stderr.splitlines()) > 1
    assert "farm" in shown.stderr
    assert "scheduling" in shown.stderr


@pytest.mark.parametrize("library", ["aiohttp", "textual_serve"])
def test_the_dashboard_in_a_browser_without_its_library_is_one_line_with_its_cure(
    library: str, tmp_path: Path
) -> None:
    config = tmp_path / "plotman.yaml"
    config.write_text("version: [2]\nharvester: {drives: [/mnt/farm/*]}\n", encoding="utf-8")
    code = (
        f"import sys; sys.modules[{library!r}] = None\nfrom plotman.cli import main\n"
        "sys.argv = ['plotman', 'interactive', '--web', '8080']\nmain()"
    )
    shown = subprocess.run(
        (sys.executable, "-c", code),
        env={"PLOTMAN_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1
    assert "pip install 'plotman[web]'" in shown.stderr


def test_ctrl_c_while_python_imports_the_command_line_is_no_traceback() -> None:
    code = (
        "import sys\nclass Interrupted:\n    @staticmethod\n    def find_spec(name, *_):\n"
        "        if name == 'plotman.cli':\n            raise KeyboardInterrupt\n"
        "from plotman.__main__ import main\nsys.meta_path.insert(0, Interrupted)\nmain()"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_closed_stdout_is_no_error() -> None:
    line = f"exec {sys.executable} -m plotman notify list >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("more", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_without_colors_gets_plain_text(more: dict[str, str], styled: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm"} | more
    command = (sys.executable, "-m", "plotman", "notify", "list")
    with subprocess.Popen(command, env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    assert b"sent when" in shown
    assert (b"\x1b" in shown) == styled
