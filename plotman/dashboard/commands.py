"""From a key to an order: what is meant, what the person is asked, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from textual.app import App

from common.errors import PlotmanError
from common.model.units import human_bytes
from plotman.control.farm import FarmState
from plotman.control.rates import rate_of
from plotman.dashboard import command_rules
from plotman.dashboard.command_rules import Proposal
from plotman.dashboard.dialogs import Ask, Type
from plotman.dashboard.model import RowSubject
from plotman.dashboard.requests import Asker, Errands

P = ParamSpec("P")
_TOLD_S = 8.0


class Ordering(App[None]):
    """The half of the dashboard that asks. `farm`, `host` and `chosen` come from the other half."""

    farm: FarmState | None = None
    host: str | None = None

    def __init__(self, asker: Asker, by: str | None = None) -> None:
        super().__init__()
        self.asker = asker
        self._by = by
        self._errands = Errands(self, asker, self.look_now)

    def chosen(self) -> RowSubject | None:
        """What the cursor is on, or what is looked at from near."""
        raise NotImplementedError

    def look_now(self) -> None:
        """Look at the farm and have it shown; from any thread."""
        raise NotImplementedError

    def action_toggle_plotting(self) -> None:
        self._propose(lambda farm: command_rules.toggle_plotting(farm, self.host))

    def action_toggle_archiving(self) -> None:
        self._propose(lambda farm: command_rules.toggle_archiving(farm, self.host))

    def action_toggle_drain(self) -> None:
        self._propose(lambda farm: command_rules.toggle_drain(farm, self.chosen()))

    def action_suspend_plot(self) -> None:
        self._propose(lambda farm: command_rules.suspend(farm, self.chosen()))

    def action_resume_plot(self) -> None:
        self._propose(lambda farm: command_rules.resume(farm, self.chosen()))

    def action_kill_plot(self) -> None:
        """First the host is asked what would go with it."""
        target = self.chosen()
        question = self._made(command_rules.files, target)
        if question is None:
            return

        def then(answers: list[Any]) -> None:
            (answer,) = answers
            if isinstance(answer, PlotmanError):
                self._complain(answer)
            else:
                self._propose(lambda farm: command_rules.kill(farm, target, answer))

        self._tell(f"asking {question.host} what would be deleted")
        self._errands.run([question], 15.0, then)

    def action_bandwidth(self) -> None:
        if self._made(command_rules.bandwidth, self.host, None) is None:
            return

        def then(typed: str | None) -> None:
            if typed is None:
                return
            try:
                bytes_s = rate_of(typed)
            except ValueError as error:
                self._tell(str(error), "error")
                return
            self._propose(lambda farm: command_rules.bandwidth(farm, self.host, bytes_s))

        self.push_screen(
            Type(
                f"Bandwidth limit of {self.host or 'all plotters'} (now {self._limit()}):",
                "80M, 500K, off or default",
            ),
            then,
        )

    def _limit(self) -> str:
        limits = {
            archiver.bandwidth_bytes_s
            for name, archiver in (self.farm.archivers if self.farm else {}).items()
            if self.host in (None, name)
        }
        words = ["off" if limit is None else f"{human_bytes(limit)}/s" for limit in limits]
        return ", ".join(sorted(words))

    def _made(self, make: Callable[Concatenate[FarmState, P], Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """What `make` makes of the farm as it is; None, and a word to the person, where it cannot."""
        if self.farm is None:
            self._tell("The farm was not seen yet.", "warning")
            return None
        try:
            return make(self.farm, *args, **kwargs)
        except PlotmanError as error:
            self._complain(error)
            return None

    def _propose(self, make: Callable[[FarmState], Proposal]) -> None:
        proposal = self._made(make)
        if proposal is None:
            return
        if proposal.ask is None:
            self._order(proposal)
            return

        def then(agreed: bool | None) -> None:
            if agreed:
                self._order(proposal)

        self.push_screen(Ask(proposal.what, proposal.ask, proposal.times), then)

    def _order(self, proposal: Proposal) -> None:
        proposal = command_rules.signed(proposal, self._by)

        def then(answers: list[Any]) -> None:
            done, failed = command_rules.outcome(proposal, answers)
            for text in done:
                self._tell(text)
            for text in failed:
                self._tell(text, "error")

        self._tell(f"{proposal.what} ...")
        self._errands.run(proposal.questions, proposal.timeout_s, then)

    def _complain(self, error: PlotmanError) -> None:
        self._tell(str(error), "warning")

    def _tell(self, text: str, severity: Any = "information") -> None:
        self.notify(text, severity=severity, timeout=_TOLD_S, markup=False)
