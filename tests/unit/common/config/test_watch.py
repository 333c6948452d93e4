"""A process that follows its plotman.yaml: real files, looked at by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import Config, load
from common.config.watch import ConfigWatch
from common.model.snapshot import Event
from common.names import Role

GOOD = "version: [2]\nfarm: {host: h1, state: state}\nharvester:\n  drives: [/farm/1]\n  margin_bytes: 5\n"


class Site:
    """A harvester's file, and what became of it."""

    def __init__(self, path: Path, role: Role | None = Role.HARVESTER) -> None:
        self.path = path
        path.write_text(GOOD, encoding="utf-8")
        self.applied: list[Config] = []
        self.events: list[Event] = []
        self.shown = 0
        self.watch = ConfigWatch(load(path), role, self.apply, self, path)

    def apply(self, settings: Config) -> None:
        self.applied.append(settings)

    def changed(self) -> None:
        self.shown += 1

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def write(self, text: str) -> None:
        draft = self.path.with_suffix(".swp")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.path)

    def settle(self) -> None:
        for _ in range(3):
            self.watch.check()

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "plotman.yaml")
    made.settle()
    return made


def test_a_file_that_stays_the_same_does_nothing(site: Site) -> None:
    site.write(GOOD + "# a comment\n")
    site.settle()
    assert not site.applied
    assert not site.events


def test_a_file_is_read_when_it_has_been_left_alone_for_a_look(site: Site) -> None:
    site.write(GOOD.replace("margin_bytes: 5", "margin_bytes: 6"))
    site.watch.check()
    assert not site.applied, "somebody may still be writing it"
    site.watch.check()
    assert [one.harvester.margin_bytes for one in site.applied if one.harvester] == [6]
    assert site.kinds == ["config-changed"]
    assert site.events[0].text == "h1: plotman.yaml took effect: harvester.margin_bytes"


def test_a_change_made_between_the_start_and_the_first_look_is_not_missed(tmp_path: Path) -> None:
    made = Site(tmp_path / "plotman.yaml")
    made.write(GOOD.replace("margin_bytes: 5", "margin_bytes: 6"))
    made.settle()
    assert made.applied


def test_a_bad_file_is_told_with_line_and_cure_and_the_last_good_one_holds(site: Site) -> None:
    site.write(GOOD.replace("margin_bytes", "margin_byte"))
    site.settle()
    assert not site.applied
    assert site.kinds == ["config-refused"]
    (problem,) = site.watch.problems
    assert "plotman.yaml:5" in problem
    assert "Did you mean margin_bytes?" in problem
    site.write(GOOD)
    site.settle()
    assert not site.watch.problems
    assert site.kinds == ["config-refused", "config-changed"]
    assert not site.applied, "nothing differs from what holds"


def test_a_file_that_is_gone_is_told(site: Site) -> None:
    site.path.unlink()
    site.settle()
    assert "does not exist" in site.watch.problems[0]


def test_what_needs_a_restart_is_named_while_it_differs(site: Site) -> None:
    site.write(GOOD + "  receiver_port: 9999\n")
    site.settle()
    assert "harvester.receiver_port has changed" in site.watch.problems[0]
    assert not site.applied
    site.write(GOOD)
    site.settle()
    assert not site.watch.problems


def test_settings_that_cannot_be_put_into_effect_are_told_and_the_process_goes_on(site: Site) -> None:
    def fails(settings: Config) -> None:
        raise OSError(28, "No space left on device")

    site.watch = ConfigWatch(load(site.path), Role.HARVESTER, fails, site, site.path)
    site.write(GOOD.replace("margin_bytes: 5", "margin_bytes: 6"))
    site.settle()
    assert "No space left on device" in site.watch.problems[0]


@pytest.mark.parametrize("role", [None, Role.ARCHIVER])
def test_of_several_processes_one_tells_the_farm_and_all_show_it(tmp_path: Path, role: Role | None) -> None:
    made = Site(tmp_path / "plotman.yaml", role)
    made.write("version: [2]")
    made.settle()
    assert made.watch.problems
    assert not made.events
    assert made.shown
