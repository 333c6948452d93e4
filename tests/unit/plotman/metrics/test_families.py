"""The metrics of a moment, as a Prometheus server reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from common.model.pending import MoveStep, PendingMove
from common.model.phase import Phase
from common.model.snapshot import DirState, DiskHealth, Drive, DriveUse, Failures
from common.names import Role
from common.store.counts import Counts
from plotman.control.farm import FarmState
from plotman.metrics.collector import families
from plotman.metrics.families import MetricsReading
from tests.support.full_farm import GB, ID, archiver, drive, harvester, job, plotter


def farm(**changes: Any) -> FarmState:
    given: dict[str, Any] = {
        "at": datetime.now(UTC),
        "plotters": {"plotter1": plotter()},
        "archivers": {"plotter1": archiver()},
        "harvesters": {"harvester1": harvester()},
        "waits": None,
        "stale": frozenset(),
    }
    return FarmState(**given | changes)


def scrape(view: MetricsReading | None) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Through the text format and back, as a server would."""

    class Once(Collector):
        def collect(self) -> Any:
            yield from families(view)

    registry = CollectorRegistry()
    registry.register(Once())
    text = generate_latest(registry).decode()
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, f"twice: {key}"
            samples[key] = sample.value
    return samples


def value(view: MetricsReading, metric: str, /, **labels: str) -> float | None:
    return scrape(view).get((metric, frozenset(labels.items())))


def names(view: MetricsReading | None) -> set[str]:
    return {name for name, _ in scrape(view)}


OLD = {
    "plotman_plot_phase_major": 2,
    "plotman_plot_phase_minor": 1,
    "plotman_plot_phase_major_minor": 2.1,
    "plotman_plot_tmp_usage": 150 * GB,
    "plotman_plot_mem_usage": 4 * GB,
    "plotman_plot_user_time": 3000,
    "plotman_plot_sys_time": 100,
    "plotman_plot_iowait_time": 20,
}


def test_the_gauges_of_0_5_3_keep_their_names_and_labels() -> None:
    found = scrape(MetricsReading(farm()))
    labels = {
        "host": "plotter1",
        "plot_id": ID[:8],
        "tmp_dir": "/mnt/tmp/1",
        "dst_dir": "/mnt/dst",
        "run_status": "RUN",
        "phase": "2:1",
    }
    assert {name: found[name, frozenset(labels.items())] for name in OLD} == OLD


def test_an_unknown_phase_is_no_number_and_two_plots_without_id_are_two_series() -> None:
    nameless = (job(plot_id=None, phase=None, pid=1), job(plot_id=None, phase=None, pid=2))
    found = scrape(MetricsReading(farm(plotters={"p": plotter("p", jobs=nameless)})))
    assert sum(name == "plotman_plot_tmp_usage" for name, _ in found) == 2
    assert not any(name.startswith("plotman_plot_phase") for name, _ in found)


def test_a_tenth_step_does_not_look_like_the_first() -> None:
    view = MetricsReading(farm(plotters={"p": plotter("p", jobs=(job(phase=Phase(1, 12)),))}))
    assert 1.9 in {found for (name, _), found in scrape(view).items() if name.endswith("major_minor")}


def test_jobs_are_counted_by_tmp_and_phase_also_where_there_are_none() -> None:
    view = MetricsReading(farm())
    assert value(view, "plotman_jobs", host="plotter1", tmp_dir="/mnt/tmp/1", phase="2") == 1
    assert value(view, "plotman_jobs", host="plotter1", tmp_dir="/mnt/tmp/1", phase="unknown") == 1
    assert value(view, "plotman_jobs", host="plotter1", tmp_dir="/mnt/tmp/2", phase="unknown") == 0
    assert value(view, "plotman_jobs_stalled", host="plotter1") == 1


def test_a_silent_host_is_down_and_what_it_said_last_is_no_figure_of_now() -> None:
    stale = frozenset(
        {(Role.PLOTTER, "plotter1"), (Role.HARVESTER, "harvester1"), (Role.ARCHIVER, "plotter1")}
    )
    view = MetricsReading(farm(stale=stale))
    assert value(view, "plotman_host_up", host="plotter1", role="plotter") == 0
    assert not names(view) & {
        "plotman_jobs",
        "plotman_drive_up",
        "plotman_transfers",
        "plotman_tmp_free_bytes",
    }


@pytest.mark.parametrize(
    ("changes", "up", "full"),
    [
        ({}, 1, 0),
        ({"full": True}, 1, 1),
        ({"use": DriveUse.DISABLED, "state": DirState.NOT_MOUNTED}, 1, 0),
        ({"use": DriveUse.DRAINING}, 1, 0),
        ({"state": DirState.UNKNOWN}, 1, 0),
        ({"state": DirState.NOT_MOUNTED}, 0, 0),
        ({"state": DirState.READ_ONLY}, 0, 0),
        ({"state": DirState.HANGING}, 0, 0),
        ({"state": DirState.MISSING, "use": DriveUse.DRAINING}, 0, 0),
    ],
)
def test_a_drive_is_up_unless_something_befell_it(changes: dict[str, Any], up: int, full: int) -> None:
    view = MetricsReading(farm(harvesters={"h": harvester(drive(**changes), host="h")}))
    assert value(view, "plotman_drive_up", host="h", drive="/farm/1") == up
    assert value(view, "plotman_drive_full", host="h", drive="/farm/1") == full


def test_room_that_is_not_known_is_neither_zero_nor_plenty() -> None:
    unknown = Drive(path="/farm/1", state=DirState.HANGING)
    view = MetricsReading(farm(harvesters={"h": harvester(unknown, host="h")}))
    assert value(view, "plotman_drive_free_bytes", host="h", drive="/farm/1") is None


def test_counters_stand_at_zero_before_the_first_plot_and_say_what_redis_counted() -> None:
    assert value(MetricsReading(farm()), "plotman_plots_made_total", host="plotter1") == 0
    made = {("plot-done", "plotter1"): 5, ("plot-made", "plotter1"): 2}
    counts = Counts({**made, ("archived", "gone"): 2}, {("archived", "gone"): 9})
    view = MetricsReading(farm(), counts=counts)
    assert value(view, "plotman_plots_made_total", host="plotter1") == 7
    assert value(view, "plotman_archived_bytes_total", host="gone") == 9
    assert value(view, "plotman_events_total", host="gone", kind="archived") == 2


def test_a_plotter_that_gave_up_is_stopped_and_a_paused_one_is_not_enabled() -> None:
    dead = plotter("p", plotting=False, failures=Failures(consecutive=3))
    view = MetricsReading(farm(plotters={"p": dead}))
    assert value(view, "plotman_plotter_stopped", host="p") == 1
    assert value(view, "plotman_plotter_enabled", host="p") == 0


def test_without_a_broker_that_is_all_there_is_to_say() -> None:
    assert names(None) == {"plotman_broker_up", "plotman_build_info"}
    assert scrape(None)["plotman_broker_up", frozenset()] == 0


def test_a_plot_whose_step_failed_fails_also_where_no_drive_could_be_reserved() -> None:
    given: dict[str, Any] = {"harvester": "h", "size_bytes": 1, "expires_at": datetime.now(UTC)}
    moves = [
        PendingMove(path="going", step=MoveStep.TRANSFER, **given),
        PendingMove(path="cut", step=MoveStep.TRANSFER, attempts=1, **given),
        PendingMove(path="no drive", step=MoveStep.RESERVE, retry_at=datetime.now(UTC), **given),
    ]
    assert (
        value(MetricsReading(farm(), moves={"plotter1": moves}), "plotman_moves_failing", host="plotter1")
        == 2
    )


def test_what_lies_on_the_drives_is_counted_by_class() -> None:
    view = MetricsReading(farm())
    c7 = {"host": "harvester1", "format": "bladebit 2", "k": "32", "compression": "7", "strength": ""}
    c7 |= {"pool": "contract", "pool_key": "05" * 32}
    assert value(view, "plotman_inventory_plots", **c7) == 3
    assert value(view, "plotman_inventory_bytes", **c7) == 250 * GB
    others = {"host": "harvester1", "format": "others", "k": "", "compression": "", "strength": ""}
    assert value(view, "plotman_inventory_plots", **others, pool="", pool_key="") == 1
    assert value(view, "plotman_inventory_faults", host="harvester1") == 2
    assert value(view, "plotman_inventory_duplicates", host="harvester1") == 1
    assert value(view, "plotman_inventory_unread_files", host="harvester1") == 3


def test_two_classes_of_a_host_with_the_same_labels_are_one_series() -> None:
    twice = harvester()
    assert twice.inventory is not None
    sums = twice.inventory.model_copy(update={"classes": twice.inventory.classes * 2})
    view = MetricsReading(farm(harvesters={"h": twice.model_copy(update={"host": "h", "inventory": sums})}))
    assert len([one for one in scrape(view) if one[0] == "plotman_inventory_plots"]) == 2


def test_a_harvester_without_an_inventory_has_no_figures_of_it() -> None:
    older = harvester().model_copy(update={"inventory": None})
    assert not [name for name in names(MetricsReading(farm(harvesters={"h": older}))) if "inventory" in name]


def test_what_a_disk_says_of_itself_is_measured_and_what_it_does_not_say_is_absent() -> None:
    disk = DiskHealth(names=("sda",), fails=True, temperature_c=38)
    view = MetricsReading(farm(harvesters={"h": harvester(drive(disk=disk), host="h")}))
    assert value(view, "plotman_disk_fails", host="h", drive="/farm/1") == 1
    assert value(view, "plotman_disk_temperature_celsius", host="h", drive="/farm/1") == 38
    assert value(view, "plotman_disk_powered_on_seconds", host="h", drive="/farm/1") is None
