"""The metrics over HTTP, and what deploy/ makes of them: what a rule or dashboard asks for is in a scrape."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from common.store import Board
from plotman.metrics.collector import CannotListen, as_text, serving
from tests.support.full_farm import ID, put_up
from tests.support.installed import from_wheel
from tests.support.lacking import lacking
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import eventually

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "plotman.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "plotman.json"


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        lacking("promtool is missing (apt-get install prometheus)")
    return found


def checked(*argv: str | Path, text: str | None = None) -> str:
    ran = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_promtool_finds_nothing_wrong_with_the_samples_and_each_alarm_fires_when_it_should(
    promtool: str,
) -> None:
    checked(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    checked(promtool, "check", "rules", RULES)
    assert "SUCCESS" in checked(promtool, "test", "rules", DEPLOY / "prometheus" / "plotman.rules.test.yml")


def test_every_alarm_has_a_case_in_which_it_fires() -> None:
    alarms = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    cases = (DEPLOY / "prometheus" / "plotman.rules.test.yml").read_text()
    assert [alarm for alarm in sorted(alarms) if alarm not in cases] == []


def rules() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(RULES.read_text())
    return loaded


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bplotman_\w+", expression))


# As 0.5.3 called them, which is not as Prometheus' conventions would.
OLD = re.compile(r"plotman_plot_(phase_m\w+|tmp_usage|mem_usage|(user|sys|iowait)_time)")


def test_a_scrape_holds_what_the_alarms_and_the_dashboard_ask_for_in_good_style_and_time(
    board: Board, promtool: str
) -> None:
    put_up(board)
    text = as_text(board)
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        as_text(board)
        took_s.append(time.perf_counter() - began_s)
    samples = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    asked = {
        name for group in rules()["groups"] for rule in group["rules"] for name in names_in(rule["expr"])
    }
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            asked |= names_in(target["expr"])
    for variable in dashboard()["templating"]["list"]:
        asked |= names_in(variable.get("definition", ""))
    assert asked - samples == set()
    assert len(asked) > 30
    # promtool's own opinion on names, types and help texts.
    told = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert [line for line in (told.stdout + told.stderr).splitlines() if not OLD.match(line)] == []
    assert min(took_s) < 0.05


def test_the_endpoint_answers_also_when_redis_does_not(board: Board, tmp_path: Path) -> None:
    put_up(board)
    port = free_port()
    with serving(board, "127.0.0.1", port):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        assert 'plotman_host_up{host="plotter1",role="plotter"} 1.0' in text
        assert 'plotman_plots_made_total{host="plotter1"} 1.0' in text
        with pytest.raises(CannotListen, match="metrics_port"), serving(board, "127.0.0.1", port):
            pass
    nobody = Board.connect(f"redis://127.0.0.1:{free_port()}/0")
    with serving(nobody, "127.0.0.1", port):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
        assert (answer.status, "plotman_broker_up 0.0" in answer.read().decode()) == (200, True)


def test_the_verb_prints_or_serves_the_metrics(board: Board, broker_url: str, tmp_path: Path) -> None:
    put_up(board)
    port = free_port()
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "metrics_port": port, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}))
    environment = os.environ | {"PLOTMAN_CONFIG": str(config)}
    plotman = from_wheel("plotman")
    printed = subprocess.run(
        [*plotman, "prometheus"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert f'plot_id="{ID[:8]}"' in printed.stdout and printed.returncode == 0, printed.stderr
    wrong = subprocess.run(
        [*plotman, "prometheus", "--listen", "x"],
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert wrong.returncode == 2
    # As a child of `plotman up`, which this machine is nothing else for.
    with (tmp_path / "up.log").open("wb") as output:
        up = subprocess.Popen([*plotman, "up"], env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        eventually(lambda: answers(url), "the metrics are served", 60)
    finally:
        up.terminate()
        up.wait(timeout=20)
    assert "metrics started" in (tmp_path / "up.log").read_text()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return b"plotman_broker_up 1.0" in answer.read()
    except OSError:
        return False


def test_the_dashboard_is_one_that_grafana_can_lay_out() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel.get("targets", ()))


def test_every_question_of_the_dashboard_is_promql(promtool: str, tmp_path: Path) -> None:
    asked = [
        target["expr"].replace("$host", ".*")
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]
    file = tmp_path / "rules.yml"
    named = [{"record": f"q:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": named}]}))
    checked(promtool, "check", "rules", file)
