"""Each key does what the help says; a recorder keeps the calls to hosts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.widgets import Input

from common import names
from common.errors import PlotmanError
from common.model.snapshot import DriveUse, Hold, Wait, Waits
from common.names import Role
from plotman.dashboard.details import Details
from plotman.dashboard.dialogs import ConfirmDialog, TextDialog
from plotman.dashboard.keys import KEYS
from tests.support import showcase
from tests.support.showcase import Recorded, Recorder, T
from tests.unit.plotman.dashboard.conftest import Shown, dashboard, screen, settle, until

LOG_END = {"text": "", "offset_bytes": 0, "ended": True}


async def test_p_pauses_and_unpauses_plotting(shown: Shown) -> None:
    source, asker = Recorded(showcase.small()), Recorder({names.PAUSE: "p1 starts no more plots"})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("right_square_bracket", "p")  # one machine in view: without a question
        await until(pilot, lambda: "p1 starts no more plots" in screen(pilot))
        paused = source.farm.plotters["p1"].model_copy(update={"plotting": False, "pause_reason": "fan"})
        source.change(plotters={"p1": paused})
        await until(pilot, lambda: "Plotting: paused: fan" in screen(pilot), 2)
        await pilot.press("p")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert [(task, host) for task, host, _ in asker.said()] == [(names.PAUSE, "p1"), (names.UNPAUSE, "p1")]


async def test_a_pauses_archiving(shown: Shown) -> None:
    asker = Recorder({names.PAUSE: "done"})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("right_square_bracket", "a")
        await until(pilot, lambda: asker.asked)
    ((task, host, kwargs),) = asker.said()
    assert (task, host, kwargs["what"]) == (names.PAUSE, "p1", "archiving")


@pytest.mark.parametrize(("key", "what"), [("p", "Pause plotting on p1?"), ("a", "Pause archiving on p1?")])
async def test_a_pause_asks_first_while_all_machines_are_in_view(shown: Shown, key: str, what: str) -> None:
    asker = Recorder({names.PAUSE: "done"})
    farm = showcase.small()
    other = farm.harvesters["p1"].model_copy(update={"host": "h1"})
    async with shown(replace(farm, harvesters={**farm.harvesters, "h1": other}), asker=asker) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: what in screen(pilot))
        assert "1 machine: p1" in screen(pilot)
        await pilot.press("enter")  # No has the focus
        await until(pilot, lambda: not isinstance(pilot.app.screen, ConfirmDialog))
        assert not asker.asked
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: asker.asked)
    assert [host for _, host, _ in asker.said()] == ["p1"]


@pytest.mark.parametrize("key", ["p", "a"])
async def test_on_a_farm_of_one_machine_a_pause_does_not_ask(shown: Shown, key: str) -> None:
    asker = Recorder({names.PAUSE: "done"})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: asker.asked)
    assert [host for _, host, _ in asker.said()] == ["p1"]


async def test_ctrl_c_names_the_key_that_closes_the_dashboard(shown: Shown) -> None:
    async with shown(showcase.small()) as pilot:
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Press q to close the dashboard" in screen(pilot))


async def test_a_command_to_several_machines_asks_first(shown: Shown) -> None:
    asker = Recorder({names.PAUSE: "done"})
    async with shown(replace(showcase.troubled(), stale=frozenset()), asker=asker) as pilot:
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("n", "p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: asker.asked)
    assert sorted(host for _, host, _ in asker.said()) == ["p1", "p3"]  # p2 is paused already


@pytest.mark.parametrize(
    ("key", "paused"),
    [
        ("p", {"plotting": False, "pause_reason": "fan", "paused": Hold(reason="fan")}),
        ("a", {"archiving_paused": Hold(reason="fan")}),
    ],
)
async def test_a_silent_machine_does_not_block_an_unpause(
    shown: Shown, key: str, paused: dict[str, object]
) -> None:
    farm, asker = showcase.troubled(), Recorder({names.UNPAUSE: "goes on"})
    assert (Role.PLOTTER, "p3") in farm.stale
    held = {name: farm.plotters[name].model_copy(update=paused) for name in ("p1", "p2")}
    async with shown(replace(farm, plotters={**farm.plotters, **held}), asker=asker) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: asker.asked)
    assert sorted((task, host) for task, host, _ in asker.said()) == [
        (names.UNPAUSE, "p1"),
        (names.UNPAUSE, "p2"),
    ]


async def test_d_drains_a_machine_that_is_paused(shown: Shown) -> None:
    farm, asker = showcase.troubled(), Recorder({names.DRAIN: "is drained"})
    paused = {"plotting": False, "pause_reason": "fan", "paused": Hold(reason="fan")}
    farm = replace(
        farm, plotters={"p2": farm.plotters["p2"].model_copy(update=paused)}, harvesters={}, stale=frozenset()
    )
    async with shown(farm, asker=asker) as pilot:
        await pilot.press("7", "down", "d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: asker.asked)
    assert [(task, host) for task, host, _ in asker.said()] == [(names.DRAIN, "p2")]


async def test_a_kill_is_confirmed_twice(shown: Shown) -> None:
    found = {"files": [], "finished": [], "troubles": []}
    asker = Recorder({names.FILES: found, names.KILL: {"freed_bytes": 5}})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("1", "down", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: "really?" in screen(pilot) and "Yes, really (y)" in screen(pilot))
        assert "There are no unfinished files to delete." in screen(pilot)
        assert names.KILL not in [task for task, _, _ in asker.said()]
        await pilot.press("y")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert asker.said()[-1] == (names.KILL, "p1", {"plot": "task-0002"})


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])  # enter: No has the focus
async def test_a_kill_is_cancelled_by_any_no(shown: Shown, answer: str) -> None:
    asker = Recorder({names.FILES: {"files": []}})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("1", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("y", answer)
        await until(pilot, lambda: not isinstance(pilot.app.screen, ConfirmDialog))
        assert [task for task, _, _ in asker.said()] == [names.FILES]


async def test_keys_for_plots_do_nothing_without_a_chosen_plot(shown: Shown) -> None:
    asker = Recorder()
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("8", "x", "s", "r", "d")  # the log alone: no plot is in view
        await until(pilot, lambda: "Choose a running plot" in screen(pilot))
        assert not asker.asked


async def test_s_and_r_suspend_and_resume_the_chosen_plot(shown: Shown) -> None:
    asker = Recorder({names.SUSPEND: {}, names.RESUME: {}})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("1", "down", "down", "s", "r")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert sorted(asker.said()) == [
        (names.RESUME, "p1", {"plot": "task-0001"}),
        (names.SUSPEND, "p1", {"plot": "task-0001"}),
    ]


async def test_the_refusal_of_a_host_is_shown(shown: Shown) -> None:
    asker = Recorder({names.SUSPEND: PlotmanError("It waits for a drive.", "Wait.")})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("1", "s")
        await until(pilot, lambda: "It waits for a drive" in screen(pilot))


async def test_d_drains_the_chosen_folder_or_drive(shown: Shown) -> None:
    asker = Recorder({names.DRAIN: "done", names.DRAIN_DRIVES: "done"})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("2", "down", "d")
        await until(pilot, lambda: asker.asked)
        await pilot.press("4", "d")
        await until(pilot, lambda: len(asker.asked) == 2)
    calls = [(task, host, kwargs["dir"]) for task, host, kwargs in asker.said()]
    assert calls == [(names.DRAIN, "p1", "/mnt/tmp/1"), (names.DRAIN_DRIVES, "p1", "/mnt/farm/01")]


async def test_d_undrains_a_drained_drive(shown: Shown) -> None:
    farm, asker = showcase.small(), Recorder({names.UNDRAIN_DRIVES: "done"})
    drive = showcase.drive("/mnt/farm/01", 0.4, use=DriveUse.DRAINING, drained=Hold(reason="old"))
    harvester = farm.harvesters["p1"].model_copy(update={"drives": (drive,)})
    source = Recorded(farm)
    source.change(harvesters={"p1": harvester})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("4", "d")
        await until(pilot, lambda: asker.asked)
    assert asker.said() == [(names.UNDRAIN_DRIVES, "p1", {"dir": "/mnt/farm/01"})]


async def test_d_undrains_as_soon_as_the_drain_is_answered(shown: Shown) -> None:
    source = Recorded(showcase.small())

    def drain() -> str:
        plotter = source.farm.plotters["p1"]
        first, *others = plotter.tmp_dirs
        drained = (first.model_copy(update={"drained": Hold(reason="old")}), *others)
        # No event: the answer alone must refresh the screen.
        source.farm = replace(source.farm, plotters={"p1": plotter.model_copy(update={"tmp_dirs": drained})})
        return "is drained"

    asker = Recorder({names.DRAIN: drain, names.UNDRAIN: "takes plots again"})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("2", "d")
        await until(pilot, lambda: "is drained" in screen(pilot))
        await pilot.press("d")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert [task for task, _, _ in asker.said()] == [names.DRAIN, names.UNDRAIN]


@pytest.mark.parametrize(("typed", "kwargs"), [("80M", {"bytes_s": 80_000_000}), ("default", {})])
async def test_b_limits_the_bandwidth(shown: Shown, typed: str, kwargs: dict[str, int]) -> None:
    asker = Recorder({names.BANDWIDTH: "done"})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("b", *typed, "enter")
        await until(pilot, lambda: asker.asked)
    assert asker.said() == [(names.BANDWIDTH, "p1", kwargs)]


async def test_a_filter_applies_to_all_tables_and_ends_with_esc(shown: Shown) -> None:
    async with shown(showcase.troubled()) as pilot:
        await pilot.press("slash", *"p2", "enter")
        await until(
            pilot, lambda: "Plots 1 of 6" in screen(pilot) and "Tmp directories 2 of 5" in screen(pilot)
        )
        await pilot.press("escape")
        await until(pilot, lambda: "Plots 6 ·" in screen(pilot))


async def test_o_and_a_click_on_a_head_sort(shown: Shown) -> None:
    async with shown(showcase.troubled()) as pilot:
        await pilot.press("1", "o")
        await until(pilot, lambda: "plot id▲" in screen(pilot))
        await pilot.press("O")
        await until(pilot, lambda: "plot id▼" in screen(pilot))
        grid = dashboard(pilot).query_one("#plots")
        await pilot.click(grid, offset=(3, 1))
        await until(pilot, lambda: "plot id▼" not in screen(pilot))


async def test_machines_are_shown_one_by_one(shown: Shown) -> None:
    async with shown(showcase.troubled()) as pilot:
        await pilot.press("right_square_bracket", "right_square_bracket")
        await until(pilot, lambda: "[!p1]" in screen(pilot) and "Plots 4 ·" in screen(pilot))
        await pilot.press("7", "enter")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: "[!all]" in screen(pilot))


async def test_up_down_and_end_scroll_the_log(shown: Shown) -> None:
    events = [(f"{n}-0", showcase.event(500 - n, "archived", "p1", f"event {n}.")) for n in range(100, 200)]
    async with shown(Recorded(showcase.small(), happened=events)) as pilot:
        await until(pilot, lambda: "event 199." in screen(pilot))
        await pilot.press("8", "up")
        await until(pilot, lambda: "event 199." not in screen(pilot))
        await pilot.press("pageup", "pageup", "end")
        await until(pilot, lambda: "event 199." in screen(pilot))


async def test_the_log_is_at_its_end_after_a_filter(shown: Shown) -> None:
    events = [(f"{n}-0", showcase.event(500 - n, "archived", "p1", f"event {n}.")) for n in range(100, 200)]
    async with shown(Recorded(showcase.small(), happened=events)) as pilot:
        await until(pilot, lambda: "event 199." in screen(pilot))
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "Log 0 of 100" in screen(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "event 199." in screen(pilot))


async def test_a_wait_of_a_whole_machine_is_shown_as_in_its_table(shown: Shown) -> None:
    waits = Waits(beat="b", at=T, waits=(Wait(host="p1", rule="stagger", reason="stagger", numbers={}),))
    async with shown(replace(showcase.small(), waits=waits)) as pilot:
        await pilot.press("6", "enter")
        await until(pilot, lambda: "what: all" in screen(pilot))


async def test_the_table_of_plots_has_the_keys_at_the_start(shown: Shown) -> None:
    asker = Recorder({names.SUSPEND: {}})
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("down", "s")
        await until(pilot, lambda: asker.asked)
        await pilot.press("tab", "escape", "up", "s")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert [kwargs["plot"] for _, _, kwargs in asker.said()] == ["task-0002", "task-0003"]


async def test_t_changes_between_dark_and_light(shown: Shown) -> None:
    async with shown(showcase.small()) as pilot:
        await pilot.press("t")
        assert not pilot.app.current_theme.dark
        await pilot.press("t")
        assert pilot.app.current_theme.dark


async def test_the_palette_has_only_commands_of_plotman(shown: Shown) -> None:
    async with shown(showcase.small()) as pilot:
        app = dashboard(pilot)
        found = [command.title for command in app.get_system_commands(app.screen)]
    assert found == [*(f"{key.name} ({key.label})" for key in KEYS), "Show p1"]


async def test_enter_shows_the_details_of_a_plot_and_esc_goes_back(shown: Shown) -> None:
    async with shown(showcase.small(), asker=Recorder({names.LOG: LOG_END})) as pilot:
        await pilot.press("1", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Details))
        await pilot.press("escape")
        await until(pilot, lambda: "Plots 3" in screen(pilot))


async def test_n_shows_all_notes_in_full(shown: Shown) -> None:
    async with shown(showcase.troubled(), (80, 24)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextDialog))
        shows = screen(pilot)
        assert "h1:/mnt/farm/05: not mounted" in shows
        assert "Mount or repair it" in shows, "what to do"


async def test_a_change_is_on_the_screen_within_a_second(shown: Shown) -> None:
    source = Recorded(showcase.small())
    async with shown(source) as pilot:
        before = source.farm.plotters["p1"]
        source.change(plotters={"p1": before.model_copy(update={"jobs": before.jobs[:1]})})
        await until(pilot, lambda: "Plots 1 ·" in screen(pilot), 1)


async def test_without_a_broker_the_last_state_is_shown_with_its_age(shown: Shown) -> None:
    source = Recorded(showcase.small())
    async with shown(source) as pilot:
        source.error = "Redis does not answer."
        source.changed.set()
        await until(pilot, lambda: "NO BROKER, this is the state of" in screen(pilot))
        assert "Plots 3" in screen(pilot)
        source.error = None
        await until(pilot, lambda: "NO BROKER" not in screen(pilot), 5)


async def test_the_terminal_can_change_to_any_size(shown: Shown) -> None:
    async with shown(showcase.troubled(), (200, 50)) as pilot:
        for size in [(20, 5), (500, 150), (40, 10), (1, 1), (80, 24), (120, 40), (10, 60)]:
            await pilot.resize_terminal(*size)
            await settle(pilot)
            assert all(len(line) <= size[0] for line in screen(pilot).splitlines())
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "Plots 6" in screen(pilot) and "Drives 5" in screen(pilot))


async def test_rows_keep_their_cursor_while_others_come_and_go(shown: Shown) -> None:
    source, asker = Recorded(showcase.small()), Recorder({names.SUSPEND: {}})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("1", "down")
        before = source.farm.plotters["p1"]
        older = showcase.job(30, "/mnt/tmp/0", started_at=T - timedelta(days=2))
        source.change(plotters={"p1": before.model_copy(update={"jobs": (older, *before.jobs)})})
        await until(pilot, lambda: "Plots 4" in screen(pilot))
        await pilot.press("s")
        await until(pilot, lambda: asker.asked)
    assert asker.said() == [(names.SUSPEND, "p1", {"plot": "task-0002"})]


@pytest.mark.parametrize("key", ["x", "s", "r"])
async def test_after_the_chosen_plot_ended_a_key_acts_on_no_other(shown: Shown, key: str) -> None:
    source, asker = Recorded(showcase.small()), Recorder()
    async with shown(source, asker=asker) as pilot:
        await pilot.press("1", "down")
        end_plots(source, "task-0002")
        await until(pilot, lambda: "Plots 2" in screen(pilot))
        assert dashboard(pilot).main.grid("plots").current is None
        assert not [line for line in screen(pilot).splitlines() if line.startswith(">")]
        await pilot.press(key)
        await until(pilot, lambda: "Choose a running plot first." in screen(pilot))
    assert not asker.asked


@pytest.mark.parametrize(
    ("key", "plot"), [("down", "task-0001"), ("up", "task-0003"), ("home", "task-0003"), ("end", "task-0001")]
)
async def test_the_next_move_chooses_a_plot_beside_the_one_that_ended(
    shown: Shown, key: str, plot: str
) -> None:
    source, asker = Recorded(showcase.small()), Recorder({names.SUSPEND: {}})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("1", "down")
        end_plots(source, "task-0002")
        await until(pilot, lambda: "Plots 2" in screen(pilot))
        await pilot.press(key, "s")
        await until(pilot, lambda: asker.asked)
    assert asker.said() == [(names.SUSPEND, "p1", {"plot": plot})]


async def test_a_plot_that_comes_back_is_chosen_again(shown: Shown) -> None:
    source, asker = Recorded(showcase.small()), Recorder({names.SUSPEND: {}})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("1", "down")
        before = source.farm
        end_plots(source, "task-0001", "task-0002", "task-0003")
        await until(pilot, lambda: "Plots 0" in screen(pilot))
        source.change(plotters=before.plotters)
        await until(pilot, lambda: "Plots 3" in screen(pilot))
        await pilot.press("s")
        await until(pilot, lambda: asker.asked)
    assert asker.said() == [(names.SUSPEND, "p1", {"plot": "task-0002"})]


async def test_a_filter_and_another_machine_choose_a_row_in_view(shown: Shown) -> None:
    source, asker = Recorded(showcase.troubled()), Recorder({names.RESUME: {}})
    async with shown(source, asker=asker) as pilot:
        await pilot.press("1", "slash", *"p2", "enter", "r")
        await until(pilot, lambda: asker.asked)
        await pilot.press("escape", "home", "right_square_bracket", "right_square_bracket", "r")
        await until(pilot, lambda: len(asker.asked) == 2)
    assert [host for _, host, _ in asker.said()] == ["p2", "p1"]


def end_plots(source: Recorded, *tasks: str) -> None:
    p1 = source.farm.plotters["p1"]
    left = tuple(job for job in p1.jobs if job.task_id not in tasks)
    source.change(plotters={"p1": p1.model_copy(update={"jobs": left})})


async def test_q_closes_at_once_and_calls_no_host(shown: Shown) -> None:
    asker = Recorder()
    async with shown(showcase.small(), asker=asker) as pilot:
        await pilot.press("q")
        await until(pilot, lambda: not pilot.app.is_running)
    assert not asker.asked


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)])
async def test_the_whole_reason_of_the_chosen_row_can_be_read(shown: Shown, size: tuple[int, int]) -> None:
    farm = showcase.troubled()
    why = "h1 refused it: 12 of 30 proofs fail, and the copy on /mnt/farm/02 differs from its source, too"
    plots = (farm.plotters["p1"].plots[2].model_copy(update={"reason": why}), *farm.plotters["p1"].plots[:2])
    farm.plotters["p1"] = farm.plotters["p1"].model_copy(update={"plots": plots})
    async with shown(farm, size) as pilot:
        await pilot.press("5", "home")
        await settle(pilot)
        assert "source, too" not in " ".join(screen(pilot).split())
        await pilot.press("down")
        await until(pilot, lambda: why in " ".join(screen(pilot).split()))
        await pilot.press("up")
        await until(pilot, lambda: why not in " ".join(screen(pilot).split()))


@pytest.mark.parametrize(
    "opens",
    [(), ("1",), ("question_mark",), ("n",), ("1", "enter"), ("1", "x"), ("6", "enter")],
    ids="-".join,
)
async def test_q_closes_the_dashboard_from_anywhere_but_a_field(shown: Shown, opens: tuple[str, ...]) -> None:
    waiting = showcase.waits(("p1", None, "paused", "paused: new fan"))
    asker = Recorder({names.LOG: LOG_END, names.FILES: {"files": []}})
    async with shown(replace(showcase.small(), waits=waiting), asker=asker) as pilot:
        app = dashboard(pilot)
        await pilot.press(*opens)
        await until(pilot, lambda: len(opens) < 2 or app.screen is not app.main)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert names.KILL not in [task for task, _, _ in asker.said()]


@pytest.mark.parametrize("opens", ["slash", "b", "ctrl+p"])
async def test_q_is_a_letter_in_a_field(shown: Shown, opens: str) -> None:
    async with shown(showcase.small()) as pilot:
        app = dashboard(pilot)
        await pilot.press(opens)
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "q")
        assert app.is_running
