"""What `plotman why` answers, from a farm as the notice board has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from beat.policy.starts.starts import plan_starts
from common.errors import ExitCode
from common.history.rows import End, TransferEnd
from common.model.pending import MoveStep, PendingMove
from common.model.plot_name import is_selector_of_file
from common.model.snapshot import Hold, RefusedOrder, RunStatus, Transfer, Waits
from common.names import Role
from plotman.cli.watch import show_reasons
from plotman.control.farm import FarmState
from plotman.control.queries import tables
from plotman.control.queries.explain import explain
from plotman.control.queries.why import (
    FarmPicture,
    NoSuchSubject,
    WhyAnswer,
    about,
    archived,
    as_dict,
    headings,
)
from tests.unit.beat import builders as b
from tests.unit.beat.builders import decided

PLOT_ID = "6b4e7375" + "0" * 56


def seen(
    *plotters: Any, leader: str | None = "beat", moves: tuple[PendingMove, ...] = (), **farm: Any
) -> FarmPicture:
    """The farm with what the rules say of it."""
    hosts = {one.host: one for one in plotters}
    archivers = {host: b.archiver(host) for host in hosts} | farm.get("archivers", {})
    given = {"archivers": archivers, "harvesters": farm.get("harvesters", {})}
    of_p1 = {"p1": list(moves)}
    orders = {"p1": list(farm.get("orders", ()))}
    decision = decided(hosts, **given, orders=orders, moves=of_p1, now=b.T)
    stale = farm.get("stale", frozenset())
    made = FarmState(
        b.T, hosts, **given, waits=Waits(beat="b", at=b.at(-3), waits=decision.waits), stale=stale
    )
    return FarmPicture(made, orders, of_p1, decision.waits, leader, () if leader else decision.starts)


def told(picture: FarmPicture, subject: str | None = None) -> list[tuple[str | None, str, str | None]]:
    return [(one.rule, one.text, one.when) for one in about(explain(picture), subject)]


def one(picture: FarmPicture, subject: str) -> WhyAnswer:
    (answer,) = about(explain(picture), subject)
    return answer


@pytest.mark.parametrize(
    ("skew_s", "text"),
    [(-7200, "its clock is 2h 0m behind Redis'"), (86_400, "its clock is 1d 0h ahead of Redis'")],
)
def test_a_wrong_clock_is_named_with_its_cure(skew_s: float, text: str) -> None:
    answer = next(iter(explain(seen(b.plotter(clock_skew_s=skew_s)))))
    assert (answer.host, answer.rule, answer.text) == ("p1", "clock", text)
    assert "timedatectl" in answer.remedy
    assert "chrony" in answer.remedy
    assert "clock" not in {one.rule for one in explain(seen(b.plotter(clock_skew_s=5)))}


def test_the_clock_of_beats_machine_counts_while_it_decides() -> None:
    waits = Waits(beat="hub:17:a1", at=b.T, clock_skew_s=-7200)
    farm = replace(seen(b.plotter()).farm, waits=waits)
    assert replace(farm, leader="hub:17:a1").clock_skews() == {"hub": -7200}
    assert farm.clock_skews() == {}


def test_the_last_refusal_of_an_order_is_the_first_reason() -> None:
    refused = RefusedOrder(at=b.at(-3), reason="The order came 7170 s too late.")
    picture = seen(b.plotter(refused=refused, global_max_jobs=1, jobs=(b.job("/other"),)))
    assert [rule for rule, _, _ in told(picture, "p1")[:2]] == ["refused order", "max jobs"]
    assert told(picture, "p1")[0][1] == "its last order was refused: The order came 7170 s too late"
    assert "its last order was refused" in one(picture, "/tmp1").text


def test_a_refusal_stops_no_start() -> None:
    refused = RefusedOrder(at=b.at(-3), reason="The order came 7170 s too late.")
    starts, waits = plan_starts(b.plotter(refused=refused), (), b.T)
    assert starts
    assert waits[0].rule == "refused order"


def test_a_tmp_directory_has_rule_numbers_time_and_remedy() -> None:
    busy = b.job(phase="1:4", eta_s=4320, plot_id=PLOT_ID, percent=40)
    picture = seen(b.plotter(b.tmp_dir(), b.tmp_dir("/tmp2"), jobs=(busy,), global_stagger_s=90_000))
    stagger = next(answer for answer in explain(picture) if answer.rule == "stagger")
    assert (stagger.text, stagger.when) == ("stagger 86400s/90000s", "in 1h 0m")
    assert stagger.numbers == {"age_s": 86_400, "stagger_s": 90_000}
    assert "global_stagger_m" in stagger.remedy
    phase = about(explain(picture), "/tmp1")[0]
    assert (phase.rule, phase.text) == ("tmp phase", "tmp phase: 1 of 1 job before 2:1")
    assert phase.when == "at the latest in about 1h 12m, when plot 6b4e7375 ends"
    assert phase.expected_at == b.at(4320)
    assert one(picture, "/tmp2/").text == "could take a plot, but its host waits: stagger 86400s/90000s"


def test_the_limit_is_over_when_enough_plots_have_ended() -> None:
    jobs = tuple(b.job("/tmp1", phase="3:1", eta_s=eta, plot_id=f"{eta:064x}") for eta in (300, 60, 600))
    picture = seen(b.plotter(b.tmp_dir(max_jobs=2), jobs=jobs))
    answer = next(answer for answer in explain(picture) if answer.rule == "tmp max jobs")
    assert answer.when == "in about 5m 0s, when plot 00000000 ends"
    stopped = tuple(one.model_copy(update={"status": RunStatus.STOPPED}) for one in jobs)
    answer = next(
        answer
        for answer in explain(seen(b.plotter(b.tmp_dir(max_jobs=2), jobs=stopped)))
        if answer.rule == "tmp max jobs"
    )
    assert answer.when == "not known: plot 00000000 is suspended"
    stalled = tuple(one.model_copy(update={"stalled": "no output for 2h"}) for one in jobs)
    assert ("tmp max jobs", "not known: plot 00000000 is stalled") in {
        (answer.rule, answer.when) for answer in explain(seen(b.plotter(b.tmp_dir(max_jobs=2), jobs=stalled)))
    }


def test_what_happens_is_told_too() -> None:
    ordered = seen(b.plotter(), orders=(b.order(sent_s=-2),))
    assert one_tmp(ordered).text == "a plot was ordered 2s ago"
    ended = seen(b.plotter(start_token="a:8"), orders=(b.order(sent_s=-2),))
    assert "ordered" not in one_tmp(ended).text, "that plot has started and ended since"
    started = seen(b.plotter(jobs=(b.job(age_s=12, task_id="t"),)))
    assert one_tmp(started).text == "a plot was started 12s ago"
    assert one_tmp(started).rule is None


def one_tmp(picture: FarmPicture) -> WhyAnswer:
    return next(answer for answer in explain(picture) if answer.kind == "tmp")


def test_a_job_shows_its_progress_or_why_it_does_not_advance() -> None:
    job = b.job(phase="2:3", percent=43.4, eta_s=5000, plot_id=PLOT_ID)
    running = one(seen(b.plotter(jobs=(job,))), "6b4e")
    assert (running.text, running.when) == ("chia pid 1 in /tmp1: phase 2:3, 43 %", "done in about 1h 23m")
    stalled = one(seen(b.plotter(jobs=(job.model_copy(update={"stalled": "Retrying."}),))), PLOT_ID)
    assert (stalled.rule, stalled.text) == ("stalled", "chia pid 1 in /tmp1 is stalled: Retrying.")
    suspended = one(seen(b.plotter(jobs=(job.model_copy(update={"status": RunStatus.STOPPED}),))), "p1:1")
    assert suspended.remedy == "`plotman resume 6b4e7375 --host p1` continues it."


def test_a_finished_plot_tells_where_it_is_or_why_it_stays() -> None:
    plot = b.plot(plot_id=PLOT_ID)
    drives: dict[str, Any] = {"harvesters": b.farm(h1=[b.drive()])}
    transfer = Transfer(
        path=plot.path, plot_id=PLOT_ID, size_bytes=100, harvester="h1", drive="/farm/1", started_at=b.T,
        sent_bytes=43, rate_bytes_s=120e6, eta_s=130,
    )  # fmt: skip
    sending = seen(b.keeper(plot), archivers={"p1": b.archiver(transfers=(transfer,))}, **drives)
    assert told(sending, plot.path) == [(None, "moving to h1:/farm/1: 43 %, 120.0 MB/s", "2m 10s left")]
    admitted = b.move(step=MoveStep.ADMIT, attempts=2)
    assert told(seen(b.keeper(plot), moves=(admitted,), **drives), "a.plot") == [
        (None, "on its way to h1: admit (failed 2 times at admit)", None)
    ]
    failed = b.move(step=MoveStep.TRANSFER, attempts=1, reason="cable pulled", retry_at=b.at(30))
    assert told(seen(b.keeper(plot), moves=(failed,), **drives), "6b4e7375") == [
        ("retry", "cable pulled (failed 1 time at transfer)", "in 30s")
    ]
    assert one(seen(b.keeper(plot), harvesters=b.farm(h1=[b.drive(1)])), "a.plot").rule == "drives"
    assert one(seen(b.keeper(plot, archiving=False)), "a.plot").rule == "no archiving"
    lost = one(seen(b.keeper(b.plot(copied_to="h2")), **drives), "a.plot")
    assert (lost.rule, "`plotman resend /dst1/a.plot --host p1`" in lost.remedy) == ("its copy", True)


def test_without_a_scheduler_the_same_rules_are_applied_here() -> None:
    picture = seen(
        b.plotter(b.tmp_dir(), b.tmp_dir("/tmp2", state="missing")),
        b.keeper(b.plot(), host="p2"),
        leader=None,
    )
    assert headings(picture)[0].startswith(
        "No scheduler decides now; the last decision was 3s ago. Start `plotman up`"
    )
    assert [answer.rule for answer in about(explain(picture), "/tmp1")] == ["no scheduler", "starts none"]
    assert one(picture, "/tmp2").rule == "tmp state"
    assert headings(replace(picture, leader="b")) == []


def test_a_silent_host_and_a_drive_that_takes_nothing_are_told() -> None:
    silent = b.plotter(at=b.T - timedelta(seconds=90))
    picture = seen(silent, stale=frozenset({(Role.PLOTTER, "p1")}))
    assert told(picture, "p1") == [("silent", "its plotter is silent; last seen 1m 30s ago", None)]
    picture = seen(silent.model_copy(update={"stopped": True}), stale=frozenset({(Role.PLOTTER, "p1")}))
    assert told(picture, "p1") == [("stopped", "its plotter was stopped 1m 30s ago", None)]
    drives = b.farm(h1=[b.drive(path="/farm/1"), b.drive(path="/farm/2", state="not mounted", free_gb=None)])
    assert [one.rule for one in about(explain(seen(harvesters=drives)), "h1")] == [None, "drive"]


HELD = Hold(reason="old cable", by="anna@desk")


@pytest.mark.parametrize(
    ("fields", "host", "rule", "text", "remedy"),
    [
        ({"use": "draining", "drained": HELD}, {}, "drained", "drained: old cable (anna@desk), ",
         "`plotman undrain h1:/farm/1`"),
        ({"use": "draining", "drained": HELD}, {"drained": HELD}, "drained host",
         "drained: old cable (anna@desk), ", "`plotman undrain h1`"),
        ({"use": "draining"}, {}, "draining", "draining, ", "harvester.draining of plotman.yaml on h1"),
        ({"use": "disabled"}, {}, "disabled", "disabled", "harvester.disabled of plotman.yaml on h1"),
        ({"use": "draining", "drained": HELD, "state": "not mounted"}, {}, "drive", "not mounted",
         "Mount or repair"),
    ],
)  # fmt: skip
def test_a_drive_that_an_operator_closed_says_who_did_and_how_to_open_it(
    fields: dict[str, Any], host: dict[str, Any], rule: str, text: str, remedy: str
) -> None:
    drives = b.farm(h1=[b.drive(path="/farm/1", **fields)])
    drives["h1"] = drives["h1"].model_copy(update=host)
    (answer,) = about(explain(seen(harvesters=drives)), "h1")
    assert answer.rule == rule
    assert answer.text.startswith(text)
    assert remedy in answer.remedy


def test_a_drained_host_is_undrained_and_a_paused_one_unpaused() -> None:
    drained = {"plotting": False, "pause_reason": "the host is drained: old cable", "drained": HELD}
    (first, *_) = explain(seen(b.plotter(**drained, paused=HELD)))
    assert (first.rule, first.remedy) == ("drained host", "`plotman undrain p1` allows plots there again.")
    assert one(seen(b.plotter(**drained, paused=HELD)), "/tmp1").rule == "drained host"
    (first, *_) = explain(seen(b.plotter(starts_left=0)))
    assert first.rule == "paused"
    (first, *_) = explain(seen(b.plotter(**drained, paused=Hold(reason="new fan"))))
    assert (first.rule, first.remedy) == ("paused", "`plotman unpause plotting --host p1` ends the pause.")


def test_a_drained_directory_names_who_drained_it_once_and_the_command_for_it() -> None:
    picture = seen(b.plotter(b.tmp_dir("/tmp1", drained=HELD)))
    answer = one(picture, "/tmp1")
    assert (answer.text, answer.remedy) == (
        "drained: old cable (anna@desk)",
        "`plotman undrain p1:/tmp1` allows plots there again.",
    )
    dst = one(seen(b.plotter(dst_dirs=(b.directory("/dst1", drained=HELD),))), "/tmp1")
    assert dst.text == "dst /dst1 is drained: old cable (anna@desk)"
    assert dst.remedy.startswith("`plotman undrain p1:DIR`, with the directory in the reason")


def test_all_pauses_and_drains_of_a_host_are_named_with_their_own_cures() -> None:
    paused = {"plotting": False, "paused": Hold(by="root@vm"), "pause_reason": "paused (root@vm)"}
    drained_dst = b.directory("/dst1", drained=HELD)
    picture = seen(b.plotter(**paused, drained=HELD, archiving_paused=Hold(), dst_dirs=(drained_dst,)))
    assert [(each.text, each.remedy) for each in explain(picture) if each.kind == "host"] == [
        ("paused (root@vm)", "`plotman unpause plotting --host p1` ends the pause."),
        ("the host is drained: old cable (anna@desk)", "`plotman undrain p1` allows plots there again."),
        ("archiving is paused", "`plotman unpause archiving --host p1` sends plots again."),
    ]
    assert one(picture, "/tmp1").text == "dst /dst1 is drained: old cable (anna@desk)"
    dst = one(picture, "/dst1")
    assert dst.text.startswith("drained: old cable (anna@desk), ")
    assert dst.remedy == "`plotman undrain p1:/dst1` allows plots there again."


def test_a_dst_directory_without_plots_is_explained_too() -> None:
    picture = seen(b.plotter(dst_dirs=(b.directory("/dst1"), b.directory("/dst2", state="missing"))))
    assert one(picture, "/dst1").text.startswith("takes plots as dst, ")
    assert one(picture, "/dst1").text.endswith(" free, 0 plots")
    assert one(picture, "/dst2").rule == "dst state"


def test_a_plot_for_which_all_drives_are_drained_says_so_and_not_to_free_space() -> None:
    drives = b.farm(h1=[b.drive(path="/farm/1", use="draining", drained=HELD)])
    picture = seen(b.keeper(b.plot()), harvesters=drives)
    (answer,) = (each for each in explain(picture) if each.kind == "plot")
    assert "(1 draining); drained: old cable (anna@desk)" in answer.text
    assert "`plotman undrain HOST:DIR`" in answer.remedy
    assert "free space" not in answer.remedy


def test_full_drives_are_undrained_only_if_one_is_drained() -> None:
    full = b.drive(0.0, full=True, path="/farm/1")
    for drives, undrain in (
        ([full], False),
        ([full, b.drive(path="/farm/2", device="8:2", use="draining", drained=HELD)], True),
    ):
        picture = seen(b.keeper(b.plot()), harvesters=b.farm(h1=drives))
        (answer,) = (each for each in explain(picture) if each.kind == "plot")
        assert "largest free drive of h1" in answer.text
        assert ("undrain" in answer.remedy) is undrain


def test_a_directory_may_be_named_with_its_host() -> None:
    answers = list(explain(seen(b.plotter())))
    assert about(answers, "p1:/tmp1/") == about(answers, "/tmp1")
    with pytest.raises(NoSuchSubject):
        about(answers, "p2:/tmp1")


def test_an_unknown_subject_names_what_is_meant_perhaps() -> None:
    with pytest.raises(NoSuchSubject) as raised:
        about(explain(seen(b.plotter(jobs=(b.job(plot_id=PLOT_ID),)))), "/tpm1")
    assert raised.value.exit_code == ExitCode.NOTHING
    assert "/tmp1" in str(raised.value)


def test_an_unknown_subject_that_resembles_nothing_names_nothing() -> None:
    with pytest.raises(NoSuchSubject) as raised:
        about(explain(seen(b.plotter())), "0dbffc8c")
    assert "Perhaps" not in str(raised.value)
    assert "Hosts: p1." in str(raised.value)


def test_an_archived_plot_is_found_in_the_history() -> None:
    name = f"plot-k32-2026-11-22-10-11-{PLOT_ID}.plot"
    row = TransferEnd(
        key="t", host="p1", ended_at=b.T, end=End.ARCHIVED, plot_id=PLOT_ID, path=f"/dst1/{name}",
        harvester="h1", drive="/farm/1",
    )  # fmt: skip
    for subject in ("6b4e7375", name, f"/dst1/{name}"):
        assert is_selector_of_file(subject)
        (found,) = archived([row], subject)
        assert found.text.endswith("on h1:/farm/1")
        assert (found.host, found.rule, found.plot_id) == ("p1", None, PLOT_ID)
    (found,) = archived([row.model_copy(update={"verified": "9 challenges gave 8 proofs"})], PLOT_ID)
    assert found.text.endswith("on h1:/farm/1: 9 challenges gave 8 proofs")
    assert archived([row.model_copy(update={"end": End.REFUSED})], PLOT_ID) == []
    assert archived([row], "77777777") == []
    assert not is_selector_of_file("/tpm1")


def test_where_only_archive_runs_the_remedy_starts_plots() -> None:
    picture = seen(b.keeper(b.plot(), pause_reason="`plotman archive` starts none"))
    host = next(answer for answer in explain(picture) if answer.kind == "host")
    assert (host.rule, host.text) == ("starts none", "`plotman archive` starts none")
    assert "`plotman plot`" in host.remedy
    assert "unpause" not in host.remedy


def test_json_has_every_key_of_every_answer() -> None:
    picture = seen(b.plotter(jobs=(b.job(phase=None),)))
    said = as_dict(picture, explain(picture))
    keys = {"host", "kind", "subject", "plot_id", "rule", "text", "numbers", "until", "expected_at", "cure"}
    assert said["decided_by"] == "beat"
    assert all(answer.keys() == keys for answer in said["answers"])


def test_a_full_drive_names_the_margin_that_fills_it() -> None:
    full = b.farm(h1=[b.drive(0.0629, full=True)])
    margin = {"h1": full["h1"].model_copy(update={"margin_bytes": 100_000_000})}
    assert [one.text for one in explain(seen(harvesters=full))] == ["full, 62.9 MB free, 0 plots"]
    (answer,) = explain(seen(harvesters=margin))
    assert answer.text == "full, 0 B free beside harvester.margin_bytes (100.0 MB), 0 plots"
    assert "undrain" not in answer.remedy


def test_the_reason_of_a_host_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    paused = {"plotting": False, "pause_reason": "new fan", "paused": Hold(reason="new fan")}
    picture = seen(b.plotter(b.tmp_dir(), b.tmp_dir("/tmp2"), **paused))
    show_reasons(list(explain(picture)))
    assert capsys.readouterr().out.splitlines() == [
        "p1",
        "  paused: new fan",
        "      `plotman unpause plotting --host p1` ends the pause.",
        "  /tmp1: could take a plot, but its host waits",
        "  /tmp2: could take a plot, but its host waits",
        "  /dst1: takes plots as dst, 100.0 TB free, 0 plots",
    ]
    show_reasons(about(explain(picture), "/tmp2"))
    alone = capsys.readouterr().out.splitlines()
    assert alone[1] == "  /tmp2: could take a plot, but its host waits: paused: new fan"
    assert len(alone) == 3


def test_a_comparison_with_a_file_on_the_drive_is_told_at_both_ends() -> None:
    plots = (b.plot("a", plot_id=PLOT_ID),)
    transfer = Transfer(
        path="/dst1/a.plot", plot_id=PLOT_ID, size_bytes=100, harvester="h1", drive="/farm/1",
        started_at=b.T, sent_bytes=40, compares=True,
    )  # fmt: skip
    reads = seen(b.plotter(plots=plots), archivers={"p1": b.archiver(transfers=(transfer,))})
    assert one(reads, PLOT_ID[:8]).text == (
        "h1:/farm/1 has a file of its name; the plot is read, to be compared with it: 40 %"
    )
    assert tables.moves_table(reads.farm).rows[0][2] == "compared with h1:/farm/1"
    named = transfer.model_copy(update={"compared_with": "/farm/1/b.plot"})
    named_reads = seen(b.plotter(plots=plots), archivers={"p1": b.archiver(transfers=(named,))})
    assert one(named_reads, PLOT_ID[:8]).text == (
        "h1:/farm/1/b.plot is the same plot by its name; the plot is read, to be compared with it: 40 %"
    )
    doing = "is compared with the file of its name on /farm/1: 7 %"
    checks = seen(b.plotter(plots=plots), moves=(b.move(step=MoveStep.ADMIT, doing=doing),))
    assert one(checks, PLOT_ID[:8]).text == f"on its way to h1: {doing}"
    farm = replace(checks.farm, moves={("p1", "/dst1/a.plot"): checks.moves["p1"][0]})
    assert tables.moves_table(farm).rows[0][4] == doing
