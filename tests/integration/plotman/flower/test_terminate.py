"""Flower's Terminate asks before it ends anything, in a real browser and with a real plot."""

from __future__ import annotations

import re
from typing import Any

from common.model.pending import MoveStep
from common.model.snapshot import Job
from common.names import Role
from tests.support.farm import HOST, Farm, plotters_of
from tests.support.flower import answers, basic, get, plotting_job, post, revoke
from tests.support.plots import write_plot
from tests.support.sections import SMALL
from tests.support.waiting import eventually

ACCOUNT = "farmer:correct-horse-battery"


def test_a_click_ends_nothing_nor_do_escape_and_cancel_and_what_is_confirmed_is_shown_when_it_has_ended(
    plotting: Farm, page: Any
) -> None:
    job: Job = eventually(lambda: plotting_job(plotting), "the plot has an id and a phase")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto(f"/task/{job.task_id}")
    dialog = page.locator("#task-end-dialog")
    assert not dialog.is_visible()

    _ask(page)
    page.screenshot(path=plotting.folder / "dialog.png")
    said = dialog.inner_text()
    for wanted in (
        (job.plot_id or "")[:8],
        job.plot_id or "",
        HOST,
        f"unfinished files in {plotting.folder}/tmp/1, {plotting.folder}/dst/1",
        "This cannot be undone.",
    ):
        assert wanted in said, f"{wanted} is not asked:\n{said}"
    assert re.search(r"Phase\s+\d:\d, \d+ %", said), said
    assert re.search(r"Size\s+([\d.]+ [KMG]?B when last measured|not measured yet)", said), said
    assert _focus(page) == "task-end-cancel"
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    _ask(page)
    page.click("#task-end-cancel")
    dialog.wait_for(state="hidden")
    page.focus("#plotman-terminate")
    page.keyboard.press("Enter")
    dialog.wait_for(state="visible")
    page.keyboard.press("Enter")  # on what has the focus: Cancel
    dialog.wait_for(state="hidden")
    page.dblclick("#plotman-terminate")
    dialog.wait_for(state="visible")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert sent == []
    assert list(plotters_of(plotting.state))
    assert page.locator(".badge:has-text('STARTED')").count() == 1

    page.focus("#plotman-terminate")
    page.keyboard.press("Space")
    dialog.wait_for(state="visible")
    page.keyboard.press("Tab")
    assert _focus(page) == "task-end-confirm"
    page.keyboard.press("Enter")
    page.wait_for_selector(".badge:has-text('REVOKED')", timeout=60_000)
    where = f"{plotting.folder}/tmp/1"
    page.wait_for_selector(f"#task-end:has-text('Terminated on {HOST}: plot stopped in {where}')")
    assert re.search(r"freed\. .*\d:\d\d", page.inner_text("#task-end")), "when it ended"
    assert page.locator("#plotman-terminate").count() == 0
    page.screenshot(path=plotting.folder / "ended.png")
    assert [address.rpartition("/api/")[2] for address in sent] == [f"task/revoke/{job.task_id}"]
    assert not list(plotters_of(plotting.state))
    assert not list((plotting.folder / "tmp" / "1").iterdir())


def test_a_transfer_that_is_stopped_keeps_its_source_and_is_tried_again(
    farm: Farm, port: int, page: Any
) -> None:
    drive, limit = farm.folder / "drives" / "1", farm.folder / "limit"
    limit.write_text("200")  # KiB a second
    target = {
        "disk_space_script": f"#!/bin/sh\necho {drive}:{10**9}\n",
        "transfer_script": "#!/bin/sh\nset -e\n"
        f'rsync --info=progress2 --outbuf=L --bwlimit=$(cat {limit}) "$source" "$destination/"\n',
        "transfer_process_name": "rsync",
        "transfer_process_argument_prefix": str(drive),
    }
    farm.configure(
        tmp=1,
        dst=1,
        farm={"flower": True, "flower_port": port},
        archiving={"target": "mine", "target_definitions": {"mine": target}},
        harvester=None,
    )
    farm.allow(plots=0)
    farm.up()
    eventually(lambda: answers(port), "Flower answers", 60)
    eventually(lambda: get(port, f"/worker/archiver@{HOST}") == 200, "Flower has heard of the archiver")
    source = write_plot(farm.folder / "dst" / "1", 8_000_000)
    task_id = eventually(lambda: _sending(farm), "the plot is being sent", 60)
    eventually(lambda: get(port, f"/task/{task_id}") == 200, "Flower has heard of the transfer")
    page.goto(f"/task/{task_id}")
    _ask(page)
    page.screenshot(path=farm.folder / "transfer.png")
    said = page.inner_text("#task-end-dialog")
    for wanted in ("Stop the transfer of", HOST, "% of", "The source is kept", "retried after a pause"):
        assert wanted in said, f"{wanted} is not asked:\n{said}"
    assert _focus(page) == "task-end-cancel"
    page.click("#task-end-confirm")
    page.wait_for_selector("#plotman-terminate", state="detached")
    page.wait_for_selector("#task-page:has-text('an operator terminated the transfer')")
    page.screenshot(path=farm.folder / "stopped.png")
    assert source.exists()
    assert not farm.archived()
    limit.write_text("0")
    eventually(lambda: farm.archived() and not source.exists(), "it is tried again", 90)


def test_with_a_password_programs_end_plots_without_the_question_and_pages_of_others_do_not(
    farm: Farm, port: int
) -> None:
    slow = {"type": "chiapos", "chiapos": {"executable": str(farm.chia), "k": 22, **SMALL}}
    flower = {"flower": True, "flower_port": port, "flower_auth": ACCOUNT}
    farm.configure(tmp=1, dst=1, farm=flower, plotting=slow)
    farm.allow(plots=1)
    farm.up()
    eventually(lambda: answers(port), "Flower answers", 60)
    job: Job = eventually(lambda: plotting_job(farm), "the plot has an id and a phase")
    known = basic(ACCOUNT)
    assert get(port, f"/farm/task/{job.task_id}") == 401
    assert get(port, f"/farm/task/{job.task_id}", basic("farmer:wrong")) == 401
    assert get(port, f"/farm/task/{job.task_id}", known) == 200
    assert post(port, f"/farm/task/{job.task_id}", known) == 405, "it only tells"
    assert revoke(port, job.task_id, {}) == 401
    assert revoke(port, job.task_id, known | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert revoke(port, job.task_id, known | {"Origin": "https://evil.example"}) == 403
    # Flower's Revoke ends nothing that runs.
    assert revoke(port, job.task_id, known, terminate="false") == 200
    assert plotting_job(farm)
    assert list(plotters_of(farm.state))
    assert revoke(port, job.task_id, known) == 200
    eventually(lambda: not list(plotters_of(farm.state)), "no plotter runs any more")


def _ask(page: Any) -> None:
    page.click("#plotman-terminate")
    page.wait_for_selector("#task-end-dialog", state="visible")


def _focus(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


def _sending(farm: Farm) -> str | None:
    """Id of the task that sends a plot."""
    archiver = farm.board().snapshots(Role.ARCHIVER).get(HOST)
    if archiver is None or not archiver.transfers:
        return None
    moves = farm.board().moves([HOST])[HOST]
    return next((move.task_id for move in moves if move.step is MoveStep.TRANSFER), None)
