"""Every mistake in a plotman.yaml is reported at once: file, line, key, what is wrong, and the cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.config import Level, default_path, find_problems, load
from common.errors import ConfigError, ExitCode

GOOD = """\
version: [2]
directories:
  tmp: [/mnt/tmp/00, /mnt/tmp/01]
  dst: [/mnt/dst/00]
scheduling:
  global_max_jobs: 12
  global_stagger_m: 30
  polling_time_s: 20
  tmpdir_max_jobs: 3
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
plotting:
  type: chia
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plotman.yaml"


def problems(file: Path, text: str | bytes) -> list[str]:
    """The lines that are reported of a file with this text, without the file's name."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return [str(problem).removeprefix(f"{file}:") for problem in find_problems(file)]


def test_a_good_file_has_no_problems(file: Path) -> None:
    assert problems(file, GOOD) == []


# What plotman 0.5.3 did with each of these is in its robustness table: tracebacks of 21 to 46 lines, or,
# for a stagger of 0.5, silently none at all.
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("global_max_jobs: 12", "global_max_job: 12",
         "6: scheduling.global_max_job: unknown key. Did you mean global_max_jobs?"),
        ("polling_time_s: 20", "pollingtime: 20",
         "8: scheduling.pollingtime: unknown key. Did you mean polling_time_s?"),
        ("type: chia", "type: chia\n  global_max_jobs: 3",
         "14: plotting.global_max_jobs: unknown key. It belongs under scheduling."),
        ("dst: [", "dts: [", "4: directories.dts: unknown key. Did you mean dst?"),
        ("tmp: [", "tpm: [", "3: directories.tpm: unknown key. Did you mean tmp?"),
        ("type: chia", "tyep: chia", "13: plotting.tyep: unknown key. Did you mean type?"),
        ("dst: [", "output: [", "4: directories.output: unknown key. Write one of: tmp, tmp2, dst."),
        ("type: chia", "type: chia\narchiving: {target: harvester}\narchive:\n  rsyncd_host: nas",
         "15: archive: is 0.3's; archiving: replaces it. Remove it."),
        ("type: chia", "type: chia\narchiving: {target: harvester}\narchive:",
         "15: archive: is 0.3's; archiving: replaces it. Remove it."),
        ("type: chia", "type: chia\narchive: {rsyncd_host: nas}",
         "14: archive: is 0.3's; archiving: replaces it. Write archiving: in its place, and remove it."),
        ("dst: [/mnt/dst/00]", "dst: [/mnt/dst/00]\n  archive: {rsyncd_host: nas}\narchiving: {index: 0}",
         "5: directories.archive: is 0.3's; archiving: replaces it. Remove it."),
        ("dst: [/mnt/dst/00]", "dst: [/mnt/dst/00]\n  log: /logs",
         "5: directories.log: is logging.plots now. Write logging: {plots: /logs}."),
        ("type: chia", "type: chia\n  k: 33",
         "14: plotting.k: is plotting.chia.k now. Move it under plotting.chia."),
        ("type: chia", "type: chia\n  nonsense: 3",
         "14: plotting.nonsense: unknown key. Write one of: type, farmer_pk, pool_contract_address, "
         "pool_pk, gpus, jobs_per_gpu, chia, chiapos, madmax, bladebit, xchplot2."),
        ("tmpdir_max_jobs: 3", "tmpdir_max_jobs: three",
         "9: scheduling.tmpdir_max_jobs: 'three' is not a whole number. Write, for example: 3."),
        ("tmpdir_max_jobs: 3", "tmpdir_max_jobs: 1.5",
         "9: scheduling.tmpdir_max_jobs: 1.5 is not a whole number. Write, for example: 3."),
        ("global_stagger_m: 30", "global_stagger_m: soon",
         "7: scheduling.global_stagger_m: 'soon' is not a number. Write, for example: 30."),
        ("global_stagger_m: 30", "global_stagger_m: .inf",
         "7: scheduling.global_stagger_m: Infinity is not a finite number. Write, for example: 30."),
        ("polling_time_s: 20", "polling_time_s: -1",
         "8: scheduling.polling_time_s: -1 is less than 0. Write 0 or more."),
        ("tmp: [/mnt/tmp/00, /mnt/tmp/01]", "tmp: []",
         '3: directories.tmp: is empty. List at least one, for example: ["/mnt/tmp/00", "/mnt/tmp/01"].'),
        ("tmp: [/mnt/tmp/00, /mnt/tmp/01]", "tmp: /mnt/tmp/00",
         "3: directories.tmp: '/mnt/tmp/00' is not a list. Put it in brackets: [/mnt/tmp/00]."),
        ("tmp: [/mnt/tmp/00, /mnt/tmp/01]", 'tmp: [/mnt/tmp/00, ""]',
         "3: directories.tmp.1: is empty. Write, for example: /mnt/tmp/00."),
        ("type: chia", "type: madmx",
         "13: plotting.type: 'madmx' is none of chia, chiapos, madmax, bladebit, xchplot2, "
         "and no installed package offers it. Did you mean madmax?"),
        ("type: chia", "type: x",
         "13: plotting.type: 'x' is none of chia, chiapos, madmax, bladebit, xchplot2, "
         "and no installed package offers it. Write one of these."),
        ("type: chia", "type: chia\n  chia: fast",
         "14: plotting.chia: 'fast' is not a section with keys. "
         "Put its keys below it, indented (`plotman config generate --full` shows them)."),
        ("type: chia", "type: chia\n  farmer_pk: 12345",
         "14: plotting.farmer_pk: 12345 is not text. Put it in quotes."),
        ("type: chia", "type: chia\n  chia: {x: maybe}",
         "14: plotting.chia.x: 'maybe' is not true or false. Write, for example: true."),
        ("type: chia", "type: xchplot2\n  farmer_pk: f\n  pool_pk: p\n  gpus: 2\n  xchplot2: {devices: '1'}",
         "17: plotting.xchplot2.devices: excludes plotting.gpus, which assigns one GPU to each job, and both "
         "are given. Keep one of the two."),
        ("version: [2]", "version: 2", "1: version: is not a list. Write version: [2]."),
        ("version: [2]\n", "", "1: version: is missing. Write version: [2] at the top."),
        ("version: [2]", "version: [3]",
         "1: version: is newer than this plotman, which reads 2. Install a newer plotman."),
        ("plotting:\n  type: chia\n", "",
         "1: plotting: the section is missing. Add it (`plotman config generate` shows it)."),
        ("  tmp: [/mnt/tmp/00, /mnt/tmp/01]\n", "",
         '2: directories.tmp: is missing. Add it, for example: tmp: ["/mnt/tmp/00", "/mnt/tmp/01"].'),
        ("type: chia", "type: chia\n  type: chia",
         "14: plotting.type: is given twice, first on line 13. Keep one of the two."),
        ("  polling_time_s", "\tpolling_time_s",
         "8: a tab; YAML is indented with spaces. Replace it by spaces."),
        ("  polling_time_s: 20", "  polling_time_s 20",
         "8: not YAML: could not find expected ':'. Put a colon and a space after the key."),
        ("  polling_time_s: 20", "   polling_time_s: 20",
         "8: not YAML: mapping values are not allowed here. "
         "Look for an extra colon, or a line indented too far."),
        ("type: chia", "type: chia\nfarm: {broker: 'http://x'}",
         "14: farm.broker: is not the address of a Redis server. "
         "Write, for example: redis://:password@plotter1:6379/0."),
        ("type: chia", "type: chia\nfarm: {host: 'a b'}",
         "14: farm.host: is not a name of letters, digits, dots, dashes and underscores. "
         "Write, for example: plotter1."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_cure(file: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert problems(file, GOOD.replace(old, new, 1)) == [told]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "1: is empty."),
        (b"# nothing but a comment\n", "1: is empty."),
        (b"just words\n", "1: has no sections."),
        (b"- a\n- list\n", "1: has no sections."),
        (b"version: [2]\n# caf\xe9\n", "2: contains bytes that are not UTF-8. Save it as UTF-8."),
        (b"a: 'open\n", "1: not YAML: found unexpected end of stream. Close the quote."),
        (b"a: 1\n---\nb: 2\n", "2: not YAML: but found another document."),
        (b"a: \x00\n", "1: not YAML: special characters are not allowed."),
        (b"a: &a [*a]\n", "1: a: unknown key."),
        (b"? [1, 2]\n: 3\n", "1: not YAML: found unhashable key."),
    ],
)
def test_a_file_that_is_no_configuration_is_told_so_in_a_line(file: Path, raw: bytes, told: str) -> None:
    lines = problems(file, raw)
    assert any(line.startswith(told) for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    assert problems(file, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == []


def test_a_file_that_is_not_there_is_told_with_what_to_do(file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(file)
    assert str(error.value) == f"{file}: does not exist. Write one with `plotman config generate -o FILE`."
    assert error.value.exit_code is ExitCode.CONFIG


def test_a_folder_in_the_files_place_is_told(tmp_path: Path) -> None:
    assert [str(problem) for problem in find_problems(tmp_path)] == [
        f"{tmp_path}: cannot be read (Is a directory). Name a file in it."
    ]


def test_loading_tells_all_errors_each_on_a_line_of_its_own(file: Path) -> None:
    file.write_text(
        GOOD.replace("version: [2]", "version: 2")
        .replace("global_max_jobs", "global_maxjobs")
        .replace("polling_time_s: 20", "polling_time_s: -1")
        .replace("type: chia", "pool_pk: a\n  pool_contract_address: b")
        + "archiving: {target: local_rsnc}\n"
    )
    with pytest.raises(ConfigError) as error:
        load(file)
    lines = str(error.value).splitlines()
    assert [re.match(rf"{re.escape(str(file))}:(\d+): ([\w.]+): ", line).groups() for line in lines] == [  # type: ignore[union-attr]
        ("1", "version"),
        ("6", "scheduling.global_maxjobs"),
        ("8", "scheduling.polling_time_s"),
        ("13", "plotting.pool_pk"),
        ("15", "archiving.target"),
    ]
    assert lines[-1].endswith("Did you mean local_rsync?")


def test_a_section_whose_lines_are_all_commented_out_counts_as_absent(file: Path) -> None:
    assert problems(file, GOOD + "archiving:\n  # target: harvester\nlogging:\nfarm:\n") == []
    config = load(file)
    assert config.archiving is None and config.broker_url is None
    assert problems(file, GOOD.replace("  type: chia\n", "  chia:\n    # k: 32\n  farmer_pk:\n")) == []


def test_a_plotter_section_that_is_there_but_empty_is_missing(file: Path) -> None:
    assert problems(file, GOOD.replace("  type: chia\n", "")) == [
        "12: plotting: the section is missing. Add it (`plotman config generate` shows it)."
    ]


def test_numbers_and_switches_in_quotes_are_taken_as_0_5_3_took_them(file: Path) -> None:
    file.write_text(
        GOOD.replace("global_max_jobs: 12", "global_max_jobs: '12'").replace(
            "type: chia", "chia: {e: 'True', x: 0}"
        )
    )
    config = load(file)
    assert config.scheduling and config.plotting
    assert (config.scheduling.global_max_jobs, config.plotting.chia.e, config.plotting.chia.x) == (
        12,
        True,
        False,
    )


def test_a_relative_folder_is_a_warning_and_is_below_the_files_own_folder(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(GOOD.replace("/mnt/dst/00", "dst"))
    assert [problem.level for problem in find_problems(file)] == [Level.WARNING]
    directories = load(file).directories
    assert directories is not None
    assert directories.dst == (str(file.parent / "dst"),)
    assert [record.action for record in caplog.records] == ["config-warning"]  # type: ignore[attr-defined]
    assert "directories.dst.0" in caplog.text
    load(file)
    assert len(caplog.records) == 1, "verbs load it more than once"


@pytest.mark.parametrize(
    "farm",
    [
        "farm: {broker: 'http://u:geheim@b'}",
        "farm: {broker: 'redis://u:geheim@b:port'}",
        "farm: {broker: ['redis://u:geheim@b']}",
        "farm: {brocker: 'redis://u:geheim@b'}",
        "farm: redis://u:geheim@b",
        "farm: ['redis://u:geheim@b']",
        "broker: redis://u:geheim@b",
        "farm: {broker: @redis://u:geheim@b}",
        "farm: {broker: redis://u:geheim@b: 3}",
        "farm: {broker: 'redis://u:geheim@b}",
        "farm: {broker: redis://u:geheim@b, broker: redis://u:geheim@c}",
        "farm: {host: 'redis://u:geheim@b'}",
        "farm: {flower_port: 'redis://u:geheim@b'}",
        "farm: {flower_auth: ['farmer:geheim']}",
        "notifications: {targets: {phone: 'tgram://geheim/1'}}",
        "notifications: {targets: 'tgram://geheim/1'}",
        "notifications: {targets: {phone: {url: ['tgram://geheim/1']}}}",
        "notifications: {targets: {hook: {command: 'curl https://geheim'}}}",
        "notifications: 'tgram://geheim/1'",
    ],
)
def test_a_password_is_in_no_message(file: Path, farm: str) -> None:
    file.write_text(f"{GOOD}{farm}\n")
    with pytest.raises(ConfigError) as error:
        load(file)
    assert "geheim" not in f"{error.value} {error.value!r}"
    assert "geheim" not in "".join(map(repr, find_problems(file)))


def test_a_password_in_the_brokers_place_is_not_shown_either(file: Path) -> None:
    assert problems(file, f"{GOOD}farm: {{broker: 40711}}\n") == [
        "14: farm.broker: the value is not text. Put it in quotes."
    ]


def test_the_path_comes_from_the_environment_or_the_users_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PLOTMAN_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "plotman" / "plotman.yaml"
    monkeypatch.setenv("PLOTMAN_CONFIG", str(tmp_path / "mine.yaml"))
    assert default_path() == tmp_path / "mine.yaml"
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert load().directories is not None
