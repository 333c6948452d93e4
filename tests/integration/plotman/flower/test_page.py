"""Flower in a real browser beside a farm that plots: what a farmer sees there, and Terminate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from common.model.snapshot import FinishedPlot, PlotState
from common.names import Role
from tests.support import showcase
from tests.support.farm import HOST, Farm, plotters_of
from tests.support.flower import answers, plotting_job, post, revoke
from tests.support.paper import T
from tests.support.waiting import eventually


def test_a_farmer_sees_the_plot_on_the_pages_and_terminate_ends_it(
    plotting: Farm, page: Any, port: int
) -> None:
    job = eventually(lambda: plotting_job(plotting), "the plot has an id and a phase")
    plot_id = (job.plot_id or "")[:8]

    page.goto("/workers")
    page.click("nav >> text=Farm")  # in Flower's own navigation
    page.wait_for_selector(f"#farm a:has-text('{plot_id}')")
    shown = page.inner_text("#farm")
    assert page.inner_text("#farm-status") == "Live"
    assert page.get_attribute("nav a.active", "aria-current") == "page"
    for wanted in (HOST, "active", "as many plots as were asked for have been started"):
        assert wanted in shown, f"{wanted} is not on the page:\n{shown}"
    assert page.locator(".farm-percent").count() == 1
    link = page.query_selector(f"#farm a:has-text('{plot_id}')")
    page.wait_for_function("before => document.querySelector('#farm').innerText !== before", arg=shown)
    assert link.evaluate("link => link.isConnected"), "what is clicked on must outlive that the page changes"

    page.goto("/tasks")
    page.wait_for_selector(f"#tasks-table tbody tr:has-text('{plot_id} phase')")
    rows = page.locator(f"#tasks-table tbody tr:has-text('plotter_worker.plot'):has-text('{job.tmp}')")
    row = rows.inner_text()
    for wanted in (f"{HOST} {job.tmp} -> ", "STARTED", "%"):
        assert wanted in row, row
    assert rows.count() == 1

    _restart_plotter_worker(plotting, job.task_id)
    page.reload()
    page.wait_for_selector(f"#tasks-table tbody tr:has-text('{plot_id} phase')")
    assert rows.count() == 1

    page.goto("/farm")
    page.click(f"#farm a:has-text('{plot_id}')")
    page.click("#plotman-terminate")
    page.click("#task-end-confirm")
    eventually(lambda: not list(plotters_of(plotting.state)), "no plotter runs any more", 60)
    page.wait_for_selector(".badge:has-text('REVOKED')")
    eventually(lambda: not list((plotting.folder / "tmp" / "1").iterdir()), "its tmp files are gone")


def test_the_buttons_do_what_the_verbs_do_and_the_page_says_how_it_ended(plotting: Farm, page: Any) -> None:
    job = eventually(lambda: plotting_job(plotting), "the plot has an id and a phase")
    page.goto("/farm")

    def press(label: str, answer: str, within: str = ".farm-running") -> None:
        page.click(f"{within} button:text-is('{label}')")
        page.click("#farm-confirm")
        page.wait_for_selector(f"#farm-outcome:has-text('{answer}')")

    press("Suspend", "is suspended.")
    assert psutil.Process(job.pid).status() == psutil.STATUS_STOPPED
    press("Resume", "runs again.")
    page.click(".farm-running button:text-is('Log')")
    page.wait_for_selector("#farm-log-text:has-text('Starting phase 1/4')")
    page.keyboard.press("Escape")
    hosts = "section[aria-label='Hosts']"
    press("Drain", HOST, hosts)
    page.wait_for_selector("section[aria-label='Asked for by operators'] li:has-text('by Flower')")

    page.click(".farm-running button:text-is('Kill')")
    page.wait_for_selector("#farm-dialog:has-text('This cannot be undone.')")
    page.keyboard.press("Enter")  # on what has the focus: Cancel
    assert list(plotters_of(plotting.state))
    press("Kill", "was killed")
    eventually(lambda: not list(plotters_of(plotting.state)), "no plotter runs any more")

    # It was paused after the one plot that it was to make.
    press("Undrain", HOST, hosts)
    press("Unpause", HOST, hosts)
    eventually(lambda: plotting.plotter().plotting, "plots may start")
    page.click(f"{hosts} button:text-is('Pause')")
    page.keyboard.press("Escape")
    assert plotting.plotter().plotting
    press("Pause", HOST, hosts)
    paused = eventually(lambda: plotting.plotter().paused, "no more plots start")
    assert paused.reason == "by Flower"
    page.wait_for_selector(f"{hosts} button:text-is('Unpause')")
    line = page.locator(
        "section[aria-label='Asked for by operators'] li:has-text('plotting is paused: by Flower')"
    )
    line.wait_for()
    assert line.get_attribute("class") == "farm-item-", "what was asked for is no alarm"
    assert line.locator("code").inner_text() == f"plotman unpause plotting --host {HOST}"


@pytest.mark.parametrize("width", [390, 768, 1024, 1600])
def test_a_large_farm_scrolls_sideways_on_no_screen(farm: Farm, page: Any, port: int, width: int) -> None:
    farm.configure(tmp=1, dst=1, farm={"flower": True, "flower_port": port})
    farm.up("--only", "broker", "--only", "flower", wait=False)
    eventually(lambda: answers(port), "Flower answers", 60)
    board = farm.board()
    path = f"/mnt/dst/0/plot-k32-2026-11-22-11-00-{showcase.plot_id(1)}.plot"
    left = FinishedPlot(path=path, size_bytes=1, state=PlotState.FOREIGN, since=T, reason="no plot")
    named = showcase.plotter(
        "a-host.of-a-farm.example", showcase.tmp_dir(f"/mnt/{'tmp' * 20}"), plots=(left,)
    )
    board.put_snapshot(Role.PLOTTER, named)
    for shown in (showcase.large(500, 500, 50), showcase.troubled()):
        for role, snapshots in shown.snapshots.items():
            for snapshot in snapshots.values():
                board.put_snapshot(role, snapshot)
    board.put_waits(showcase.troubled().waits)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/farm")
    page.wait_for_selector("#farm tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(_TOO_WIDE) == []
    percent = page.locator(".farm-running tbody tr:first-child td[data-label='%']")
    assert percent.is_visible()
    percent.click(trial=True)  # nothing lies above it


_TOO_WIDE = """[...document.querySelectorAll("#farm .farm-scroll, #farm .farm-tall, #farm .farm-list")]
    .filter(box => box.scrollWidth > box.clientWidth)
    .map(box => box.closest("section").ariaLabel)"""


def test_only_flowers_own_page_can_end_a_plot_also_while_its_worker_is_away(
    plotting: Farm, port: int
) -> None:
    job = eventually(lambda: plotting_job(plotting), "the plot has an id and a phase")
    own = f"127.0.0.1:{port}"
    for case, headers in {
        "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        "another site, old browser": {"Origin": "https://evil.example"},
        "a name that was made to lead here": {
            "Host": f"evil.example:{port}",
            "Origin": f"http://evil.example:{port}",
        },
        "another port of this machine": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        "no page at all": {},
    }.items():
        assert revoke(port, job.task_id, headers) == 403, case
    assert plotting_job(plotting)
    assert post(port, "/api/worker/shutdown/plotter@x", {"Origin": f"http://{own}"}) == 401
    # While nobody is there to hear of it: the worker that comes back ends the plot.
    plotting.kill("plotter")
    assert revoke(port, job.task_id, {"Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}) == 200
    assert list(plotters_of(plotting.state))
    eventually(lambda: not list(plotters_of(plotting.state)), "no plotter runs any more")


def _restart_plotter_worker(farm: Farm, task_id: str) -> None:
    """Until the next worker has taken the plot up: a broadcast reaches only who is there."""
    killed = farm.kill("plotter")
    eventually(lambda: farm.pids().get("plotter") not in (None, killed), "its keeper has started another")
    inspect = farm.client().control.inspect(destination=[f"plotter@{HOST}"], timeout=1)
    eventually(lambda: task_id in str(inspect.active()), "the plot's task runs again", 60)


def test_what_is_ours_goes_in_once_and_names_columns_that_flower_knows(tmp_path: Path) -> None:
    from flower import app, urls
    from flower.views.tasks import TASK_COLUMNS

    from plotman.flower.handlers import Revoke
    from plotman.flower.install import TASKS_COLUMNS, TemplateLoader, install

    install()
    install()
    names = [getattr(handler, "name", None) for handler in urls.handlers]
    assert names.count("farm") == 1
    assert set(TASKS_COLUMNS.split(",")) <= set(TASK_COLUMNS)
    loader = TemplateLoader(urls.settings["template_path"])
    assert loader._task() is not None, "a new Flower's page of a task has no place for our question"
    assert loader._base() is not None, "a new Flower's pages have no place for our style"
    bar = loader._navigation()
    assert bar is not None, "a new Flower's navigation has no place for our page"
    assert bar.count("Farm") == 1
    classes = [handler[1] for handler in urls.handlers if isinstance(handler, tuple)]
    assert sum(issubclass(handler, Revoke) for handler in classes) == 1
    limits = app.HTTPServer.keywords
    assert limits["idle_connection_timeout"] <= 60, "seconds that a silent connection stays open"
