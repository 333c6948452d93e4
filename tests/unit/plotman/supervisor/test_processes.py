from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Config
from common.errors import ConfigError
from plotman.supervisor.processes import NAMES, Stage, child_process, wanted
from tests.support.sections import SCHEDULING

PLOTTER = {
    "directories": {"tmp": ["/mnt/tmp"]},
    "scheduling": SCHEDULING,
    "plotting": {"farmer_pk": "a" * 96, "pool_pk": "b" * 96},
}
ARCHIVING = {"archiving": {"target": "harvester"}}
HARVESTER = {"harvester": {"drives": ["/mnt/drive"]}}
TOLD = {"notifications": {"targets": {"phone": {"url": "ntfy://farm"}}}}
ELSEWHERE = {"broker": "redis://hub:6379/0"}


def config(*sections: dict[str, Any], **farm: object) -> Config:
    content: dict[str, Any] = {"version": [2], "farm": {"host": "box", **farm}}
    for section in sections:
        content.update(section)
    return Config.model_validate(content)


@pytest.mark.parametrize(
    ("sections", "farm", "only", "expected"),
    [
        (
            [PLOTTER, ARCHIVING, HARVESTER],
            {},
            (),
            ("broker", "harvester", "plotter", "archiver", "beat", "flower"),
        ),
        ([PLOTTER], {"flower": False}, (), ("broker", "plotter", "beat")),
        ([HARVESTER], ELSEWHERE, (), ("harvester", "archiver")),
        ([PLOTTER, ARCHIVING], ELSEWHERE, (), ("plotter", "archiver")),
        ([PLOTTER, ARCHIVING], ELSEWHERE, ("archiver",), ("archiver",)),
        ([HARVESTER], {**ELSEWHERE, "scheduler": True}, (), ("harvester", "archiver", "beat", "flower")),
        ([PLOTTER, ARCHIVING], {}, ("plotter",), ("broker", "plotter")),
        ([PLOTTER, ARCHIVING], {}, ("broker",), ("broker",)),
        ([], {**ELSEWHERE, "metrics_port": 9587}, (), ("metrics",)),
        ([HARVESTER, TOLD], {**ELSEWHERE}, (), ("harvester", "archiver", "notifier")),
    ],
)
def test_a_machine_runs_what_its_plotman_yaml_names_in_the_order_of_start(
    sections: list[dict[str, Any]],
    farm: dict[str, object],
    only: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    assert wanted(config(*sections, **farm), only) == expected


def test_asking_for_a_role_that_the_machine_does_not_have_tells_which_it_has() -> None:
    with pytest.raises(ConfigError, match=r"no harvester on box.*It names: plotter, beat, flower\."):
        wanted(config(PLOTTER), ("harvester",))


def test_a_machine_with_nothing_to_run_is_told_so() -> None:
    with pytest.raises(ConfigError, match="gives box nothing to run"):
        wanted(config(**ELSEWHERE))


@pytest.mark.parametrize(
    ("name", "arguments", "stage"),
    [
        ("harvester", "plotman.serve harvester@box", Stage.WORKERS),
        ("plotter", "plotman.serve plotter@box", Stage.WORKERS),
        ("archiver", "plotman.serve archiver@box", Stage.WORKERS),
        ("beat", "plotman.serve beat", Stage.DECISIONS),
        ("flower", "celery -A plotman flower --address=127.0.0.1 --port=5555", Stage.DECISIONS),
    ],
)
def test_each_process_is_named_as_a_person_would_name_it(name: str, arguments: str, stage: Stage) -> None:
    child = child_process(name, config(PLOTTER), Path("/etc/plotman.yaml"))
    assert child.argv == (sys.executable, "-P", "-m", *arguments.split())
    assert child.stage is stage
    assert child.env == {"PLOTMAN_CONFIG": "/etc/plotman.yaml", "PLOTMAN_HOST": "box"}


def test_the_broker_starts_before_all_that_need_it() -> None:
    assert NAMES[0] == "broker"
    assert min(Stage) is Stage.BROKER


def test_metrics_and_notifications_are_verbs_that_read_the_same_plotman_yaml() -> None:
    here = config(**ELSEWHERE, metrics_port=9587, metrics_address="::1")
    metrics, notifier = (child_process(name, here, Path("/etc/p.yaml")) for name in ("metrics", "notifier"))
    assert metrics.argv[-3:] == ("prometheus", "--listen", "[::1]:9587")
    assert notifier.argv[-2:] == ("notify", "run")
    assert metrics.env == notifier.env == {"PLOTMAN_CONFIG": "/etc/p.yaml", "PLOTMAN_HOST": "box"}
