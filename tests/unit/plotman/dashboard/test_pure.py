"""The pure parts of the dashboard: layout, order, filter, headline, and access to the web server."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from common.config import load
from common.errors import ConfigError
from common.model.plot_name import with_short_ids
from common.model.snapshot import DiskHealth, Drive, DriveUse, Event, Hold, Wait, Waits
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.control.rpc import TaskCall
from plotman.dashboard import filters, headline, layout, panes
from plotman.dashboard.command_rules import Proposal, outcome
from plotman.dashboard.event_log import event_row, insert
from plotman.dashboard.filters import Order
from plotman.dashboard.layout import ScreenSize
from plotman.dashboard.model import Cell, CellLevel, Column, Line, Row, RowKind, RowSubject, Table, shortened
from plotman.dashboard.web import account, is_authorized, is_of_this_site
from tests.support import showcase


def table(*texts: str) -> Table:
    rows = tuple(Row(RowSubject(RowKind.TMP, "p1", text), (Cell("p1"), Cell(text))) for text in texts)
    return Table("tmp", "Tmp", (Column("host", spare=1), Column("tmp", path=True)), rows)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((40, 10), ScreenSize.LIST),
        ((80, 24), ScreenSize.PANE),
        ((120, 40), ScreenSize.STACK),
        ((500, 150), ScreenSize.WIDE),
    ],
)
def test_the_layout_follows_the_size(size: tuple[int, int], expected: ScreenSize) -> None:
    assert layout.size_of(*size) is expected


@given(st.text(max_size=40), st.integers(0, 40), st.booleans())
def test_any_text_in_a_cell_is_as_wide_as_its_column(text: str, width: int, right: bool) -> None:
    assert cell_len(layout.fitted(text, width, right)) == width
    assert cell_len(layout.truncated(text, width)) == width


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 40))
def test_a_bar_is_as_wide_as_its_column(share: float, reserved: float, width: int) -> None:
    assert cell_len("".join(layout.bar(Cell("100%", share=share, reserved=reserved), width))) == width


@given(st.integers(10, 500))
def test_columns_fit_into_the_width(room: int) -> None:
    for made in panes.all_tables(showcase.troubled(), None).values():
        shown = layout.widths(made, layout.natural_widths(made), room)
        needed = sum(
            min(width, 14)
            for width, column in zip(layout.natural_widths(made), made.columns, strict=True)
            if not column.spare
        )
        if room >= needed + len(shown):
            assert sum(shown) + sum(width > 0 for width in shown) - 1 <= room


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(1, 300), st.integers(1, 5)), min_size=1))
def test_all_lines_are_shared_out(room: int, wants: list[tuple[int, int]]) -> None:
    assert sum(layout.share_out(room, wants)) == room


def test_the_common_folder_of_all_paths_is_named_once() -> None:
    short = shortened(table("/mnt/tmp/0", "/mnt/tmp/1"))
    assert [row.cells[1].text for row in short.rows] == ["0", "1"]
    assert short.below == (("tmp", "/mnt/tmp"),)
    assert shortened(table("/a/0", "/b/1")).below == ()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plot done in 7h 12m, in /mnt/dst/0", "6b4e7375 plot done in 7h 12m, in /mnt/dst/0"),
        (
            "/mnt/dst/0/plot-k32-2026-11-22-10-00-ID.plot is ready to be moved",
            "6b4e7375 is ready to be moved",
        ),
        (
            "plot-k32-2026-11-22-10-00-ID.plot is on /mnt/farm/02: 30 proofs",
            "6b4e7375 is on /mnt/farm/02: 30 proofs",
        ),
        ("cannot send /mnt/dst/0/plot-k32-ID.plot: no room", "6b4e7375 cannot send 6b4e7375: no room"),
    ],
)
def test_a_line_of_the_log_begins_with_the_short_id_of_its_plot(text: str, shown: str) -> None:
    plot_id = "6b4e7375" + "0" * 56
    happened = Event(
        kind="plot-ready", host="p1", at=datetime.now(UTC), text=text.replace("ID", plot_id), plot_id=plot_id
    )
    assert event_row("1-0", happened).cells[-1].text == shown


def test_numbers_sort_as_numbers_and_unknown_cells_come_last() -> None:
    rows = [Cell("9", 9), Cell("?"), Cell("10", 10)]
    made = Table(
        "t",
        "T",
        (Column("n"),),
        tuple(Row(RowSubject(RowKind.TMP, "p", str(n)), (c,)) for n, c in enumerate(rows)),
    )
    assert [row.cells[0].text for row in filters.ordered(made, Order("n"))] == ["9", "10", "?"]
    assert [row.cells[0].text for row in filters.ordered(made, Order("n", True))] == ["10", "9", "?"]


def test_a_filter_matches_rows_with_all_its_words() -> None:
    rows = table("/mnt/tmp/0", "/mnt/ssd/1").rows
    assert [row.subject.what for row in filters.matching(rows, "P1 ssd")] == ["/mnt/ssd/1"]


def test_the_bar_of_phases_has_a_part_for_each_phase_as_long_as_it_has_plots() -> None:
    (line,) = headline.phases(showcase.troubled())
    parts = {tone: text for text, tone in line.tones if tone.startswith("phase")}
    assert [text.strip() for text in parts.values()] == [
        "phase 1: 1",
        "phase 2: 2",
        "phase 3: 1",
        "phase 4: 2",
    ]
    assert len(parts["phase2"]) == len(parts["phase4"]) > len(parts["phase1"]) == len(parts["phase3"])
    (line,) = headline.phases(showcase.small())
    assert line.text.endswith(" 1 of unknown phase ")


def test_the_pulse_has_as_many_figures_as_there_is_room_for() -> None:
    farm = showcase.troubled()
    since = showcase.T - timedelta(days=30)
    tally = showcase.tally(29).model_copy(update={"since": since, "week_bytes": 10**13, "week_count": 90})
    farm.archivers["p1"] = farm.archivers["p1"].model_copy(update={"tally": tally})
    words = ["plotman", "4 hosts", "6 running", "43 plots and 4.6 TB a day", "drives full in 4 days"]
    for width, count in [(100, 5), (80, 4), (60, 3), (32, 2)]:
        line = headline.pulse(farm, width)
        assert cell_len(line.text) <= width
        assert [word for word in words if word in line.text] == words[:count]
        assert line.text.endswith(f"{farm.at.astimezone():%H:%M:%S}")


def waits_of(rule: str, reason: str, until_s: float | None = None) -> Waits:
    until = None if until_s is None else showcase.T + timedelta(seconds=until_s)
    return Waits(beat="b", at=showcase.T, waits=(Wait(host="p1", rule=rule, reason=reason, until=until),))


@pytest.mark.parametrize(
    ("waits", "text"),
    [
        (waits_of("stagger", "stagger 1784s/1800s", 16), "3 of 8 running, next start in 16s"),
        (waits_of("max jobs", "max jobs 3/3"), "3 of 8 running, next start in 2h 31m"),
        (waits_of("tmp phase", "tmp phase"), "3 of 8 running"),
    ],
    ids=["stagger", "max-jobs", "phase"],
)
def test_a_busy_plotter_is_one_calm_line(waits: Waits, text: str) -> None:
    first, *_ = headline.status(replace(showcase.small(), waits=waits))
    assert first == Line(f"Plotting: {text}")


def test_a_plotter_that_waits_for_something_else_is_a_notice_with_the_reason() -> None:
    waits = waits_of("refused order", "the program is not there")
    first, *_ = headline.status(replace(showcase.small(), waits=waits))
    text = "Plotting: 3 of 8 running (p1 waits: the program is not there)"
    assert first == Line(text, CellLevel.NOTICE)


def test_waits_of_a_busy_farm_are_quiet_and_below_the_others() -> None:
    levels = [row.level for row in panes.all_tables(showcase.troubled(), None)["waits"].rows]
    assert levels == [CellLevel.NOTICE, *[CellLevel.QUIET] * 3]


def test_damaged_files_in_dst_are_no_plots_that_wait_to_be_moved() -> None:
    line = headline.archiving(showcase.troubled(), WaitReasons(showcase.troubled()))
    assert line.level is CellLevel.NOTICE
    assert line.text.endswith(
        "1 waits (moves 1/1: plot-k32-21.plot is on its way to h1), 1 file in dst needs you"
    )


def test_a_bar_above_nine_tenths_is_warm() -> None:
    rows = panes.all_tables(showcase.troubled(), None)["drives"].rows
    assert [row.cells[4].tone for row in rows] == ["warm", "", "", "", ""]


@pytest.mark.parametrize(
    ("use", "level", "word"),
    [
        (DriveUse.ACTIVE, CellLevel.BAD, "disk fails, active"),
        (DriveUse.DRAINING, CellLevel.NOTICE, "disk fails, draining"),
        (DriveUse.DISABLED, CellLevel.NOTICE, "disk fails, disabled"),
    ],
)
def test_a_drive_whose_disk_fails_is_red_or_amber_at_any_width(
    use: DriveUse, level: CellLevel, word: str
) -> None:
    disk = DiskHealth(names=("sda",), fails=True, temperature_c=51)
    table = drives_table(showcase.drive("/mnt/farm/01", 0.5, use=use, disk=disk))
    (row,) = table.rows
    assert row.level is level
    assert row.cells[-1].text == word
    narrow = layout.widths(table, layout.natural_widths(table), 30)
    assert narrow[-1] and not narrow[-2]


@pytest.mark.parametrize(
    ("health", "text"),
    [
        ({"fails": False, "temperature_c": 38}, "well 38 °C"),
        ({"fails": True, "temperature_c": 51}, "FAILS 51 °C"),
        ({"fails": None, "temperature_c": 38}, "? 38 °C"),
        ({"fails": False, "temperature_c": None}, "well ?"),
        (None, ""),
    ],
)
def test_drives_show_health_and_temperature_of_their_disks(health: dict[str, Any] | None, text: str) -> None:
    disk = None if health is None else DiskHealth(names=("sda",), **health)
    (row,) = drives_table(showcase.drive("/mnt/farm/01", 0.5, disk=disk)).rows
    assert row.cells[-2].text == text


def drives_table(drive: Drive) -> Table:
    farm = showcase.small()
    farm.harvesters["p1"] = farm.harvesters["p1"].model_copy(update={"drives": (drive,)})
    return panes.all_tables(farm, None)["drives"]


def test_the_state_of_a_machine_is_whole_on_a_wide_screen() -> None:
    table = panes.all_tables(showcase.troubled(), None)["machines"]
    shown = layout.widths(table, layout.natural_widths(table), 73)
    assert shown[-1] >= max(len(row.cells[-1].text) for row in table.rows)


def test_a_wide_terminal_parts_no_name_from_its_numbers() -> None:
    subject = RowSubject(RowKind.HOST, "h1")

    def shown(*columns: Column) -> list[int]:
        rows = (Row(subject, tuple(Cell("four") for _ in columns)),)
        made = Table("drives", "Drives", columns, rows)
        return layout.widths(made, layout.natural_widths(made), 200)

    name, number = Column("dir", stretch=True), Column("n", right=True)
    assert shown(name, number) == [4, 4]
    assert shown(number, name) == [4, 195], "nothing stands behind it"


@given(st.integers(20, 200), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_small_pane_is_never_cut_for_a_larger_one(room: int, wants: list[int]) -> None:
    given_lines = layout.share_out(room, [(want, min(want, 3)) for want in wants])
    cut = [lines for lines, want in zip(given_lines, wants, strict=True) if lines < want]
    assert all(lines <= min(cut) + 1 for lines, want in zip(given_lines, wants, strict=True) if cut)


def basic(account: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(account.encode()).decode()}


def test_only_the_right_password_is_accepted() -> None:
    assert is_authorized(basic("farmer:geheim ü"), "farmer:geheim ü")
    for headers in (
        {},
        basic("farmer:x"),
        basic(""),
        {"Authorization": "Basic ü"},
        {"Authorization": "Bearer x"},
    ):
        assert not is_authorized(headers, "farmer:geheim ü")


@pytest.mark.parametrize(
    ("headers", "protected", "expected"),
    [
        ({"Host": "localhost:80"}, False, True),
        ({"Host": "localhost:80", "Origin": "http://localhost:80"}, False, True),
        ({"Host": "[::1]:80"}, False, True),
        ({"Host": "localhost:80", "Origin": "http://evil.example"}, False, False),
        ({"Host": "localhost:80", "Origin": "null"}, False, False),
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, False, False),
        ({"Host": "farm:80", "Origin": "http://farm:80"}, True, True),
        ({"Host": "farm:80", "Origin": "http://evil.example"}, True, False),
    ],
)
def test_requests_of_other_sites_are_refused(
    headers: dict[str, str], protected: bool, expected: bool
) -> None:
    assert is_of_this_site(headers, protected) is expected


def test_other_machines_need_a_password(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("web") / "plotman.yaml"
    file.write_text("version: [2]\nfarm:\n  host: h\n  flower_auth: farmer:secret\n", encoding="utf-8")
    assert account(load(file), "0.0.0.0") == "farmer:secret"
    assert account(load(file), "127.0.0.1") == "farmer:secret"
    file.write_text("version: [2]\nfarm:\n  host: h\n", encoding="utf-8")
    assert account(load(file), "127.0.0.1") is None
    with pytest.raises(ConfigError, match="without a password"):
        account(load(file), "0.0.0.0")


def test_the_answer_of_an_undrain_is_shown() -> None:
    answer = "p1 takes plots; lifted: p1, /farm/1"
    proposal = Proposal("let p1 take plots again", (TaskCall("undrain", "p1", {}),))
    assert outcome(proposal, [{"answer": answer, "lifted": ["p1", "/farm/1"], "drained": []}]) == (
        [answer],
        [],
    )


def test_a_drained_dst_shows_its_reason() -> None:
    farm = showcase.small()
    plotter = farm.plotters["p1"]
    drained = plotter.dst_dirs[0].model_copy(update={"drained": Hold(reason="old cable", by="anna@desk")})
    farm.plotters["p1"] = plotter.model_copy(update={"dst_dirs": (drained,)})
    (row,) = panes.all_tables(farm, None)["dst"].rows
    assert row.cells[-1].text == "drained: old cable (anna@desk)"


ID = "6b4e7375" + 56 * "f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"moves 1/1: plot-k32-2026-11-22-10-00-{ID}.plot is sent", "moves 1/1: 6b4e7375 is sent"),
        (f"/mnt/dst/plot-k32-c07-2026-11-22-10-00-{ID}.plot", "/mnt/dst/6b4e7375"),
        (f"/mnt/dst/plot-k28-{ID.upper()}.plot2, and more", "/mnt/dst/6b4e7375, and more"),
        (f"/mnt/dst/plot-k28-{ID}.gplot, and more", "/mnt/dst/6b4e7375, and more"),
        (f"id {ID}.", "id 6b4e7375."),
        (f"{ID}0 is too long", f"{ID}0 is too long"),
        ("plot-k32-21.plot", "plot-k32-21.plot"),
    ],
)  # fmt: skip
def test_ids_in_texts_have_eight_digits(text: str, shown: str) -> None:
    assert with_short_ids(text) == shown


@pytest.mark.parametrize(
    "text", ["a" * 65_536, f"a{ID}" * 900, "plot-mmx-" * 7_000, "plot-k32-" + "a-" * 30_000]
)
def test_a_long_text_of_another_host_takes_no_time(text: str) -> None:
    begun_s = time.process_time()
    assert with_short_ids(text) == text
    assert time.process_time() - begun_s < 0.2


SHOWN = "h1 refused it: 12 of 30 proofs fail. Another copy of 6b4e7375 is on /mnt/farm/07."
WHY = SHOWN.replace("6b4e7375", f"plot-k32-2026-11-22-10-00-{ID}.plot")


def waiting(columns: int) -> tuple[Table, dict[str, int]]:
    """The table of moves with one plot that waits and one that is sent, and the widths of its columns."""
    farm = showcase.troubled()
    plot = farm.plotters["p1"].plots[2]
    path = f"/mnt/dst/1/plot-k32-2026-11-22-10-00-{ID}.plot"
    refused = plot.model_copy(update={"reason": WHY, "path": path})
    farm.plotters["p1"] = farm.plotters["p1"].model_copy(update={"plots": (refused,)})
    made = panes.all_tables(farm, None)["moves"]
    shown = layout.widths(made, layout.natural_widths(made), columns)
    return made, {column.name: width for column, width in zip(made.columns, shown, strict=True)}


@pytest.mark.parametrize("columns", [38, 65, 78])
def test_a_reason_gets_half_of_the_room_before_spare_columns_and_bars(columns: int) -> None:
    _, shown = waiting(columns)
    assert shown["to, or reason"] >= columns // 2 - 4
    assert shown["%"] == 4 or sum(shown.values()) < columns
    assert (shown["ETA"] > 0) == (columns > 78)


def test_a_reason_gets_no_more_than_it_needs() -> None:
    _, shown = waiting(190)
    assert all(shown.values())
    assert shown["%"] >= 14


def test_the_details_of_a_row_have_the_whole_reason_and_path() -> None:
    made, _ = waiting(78)
    (row,) = (row for row in made.rows if row.level.value == "!")
    texts = [column.full_text(cell) for column, cell in zip(made.columns, row.cells, strict=True)]
    assert WHY in texts
    assert row.subject.what in texts
    assert SHOWN in [cell.text for cell in row.cells]


def test_a_table_without_a_reason_keeps_its_bars() -> None:
    farm = showcase.troubled()
    made = panes.all_tables(farm, None)["drives"]
    shown = dict(
        zip([c.name for c in made.columns], layout.widths(made, layout.natural_widths(made), 64), strict=True)
    )
    assert shown["used"] >= 14


def test_the_log_is_by_time_where_events_come_late() -> None:
    came = [
        (3.0, "is on h1:/mnt/farm/1"), (2.0, "is ready to be moved"), (1.5, "plot done"),
        (-60.0, "a minute too late"), (3.0, "another"),
    ]  # fmt: skip
    log: list[tuple[datetime, Row]] = []
    for number, (after_s, text) in enumerate(came):
        event = Event(kind="archived", host="p1", at=showcase.T + timedelta(seconds=after_s), text=text)
        insert(log, event.at, event_row(f"{number}-0", event))
    assert [row.cells[-1].text for _, row in log] == [
        "plot done", "is ready to be moved", "is on h1:/mnt/farm/1", "a minute too late", "another"
    ]  # fmt: skip
