"""Commands of the operator: what a key does to the farm, the question before it, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from common.errors import PlotmanError
from common.model.text import one_line
from common.model.units import human_bytes
from plotman.control.arguments import rate_of
from plotman.control.farm import FarmState
from plotman.dashboard import command_rules
from plotman.dashboard.command_rules import Proposal
from plotman.dashboard.dialogs import ConfirmDialog, InputDialog
from plotman.dashboard.requests import Asker, Requests
from plotman.dashboard.screen import MainScreen

P = ParamSpec("P")
_NOTICE_S = 8.0
_FILES_S = 15.0


class Commands:
    """screen: knows the farm, the host in view and the chosen row. by: the operator, `user@machine`."""

    def __init__(self, screen: MainScreen, asker: Asker, by: str | None = None) -> None:
        self._screen = screen
        self._by = by
        self._requests = Requests(screen, asker, screen.read_now)

    def toggle_plotting(self) -> None:
        self._propose(lambda farm: command_rules.toggle_plotting(farm, self._screen.host))

    def toggle_archiving(self) -> None:
        self._propose(lambda farm: command_rules.toggle_archiving(farm, self._screen.host))

    def toggle_drain(self) -> None:
        self._propose(lambda farm: command_rules.toggle_drain(farm, self._screen.chosen()))

    def suspend_plot(self) -> None:
        self._propose(lambda farm: command_rules.suspend(farm, self._screen.chosen()))

    def resume_plot(self) -> None:
        self._propose(lambda farm: command_rules.resume(farm, self._screen.chosen()))

    def kill_plot(self) -> None:
        """Ask the host first which files would be deleted."""
        subject = self._screen.chosen()
        question = self._checked(command_rules.files, subject)
        if question is None:
            return

        def then(answers: list[Any]) -> None:
            (answer,) = answers
            if isinstance(answer, PlotmanError):
                self._notify(str(answer), "warning")
            else:
                self._propose(lambda farm: command_rules.kill(farm, subject, answer))

        self._notify(f"asking {question.host} what would be deleted")
        self._requests.run([question], _FILES_S, then)

    def set_bandwidth(self) -> None:
        host = self._screen.host
        if self._checked(command_rules.bandwidth, host, None) is None:
            return

        def then(typed: str | None) -> None:
            if typed is None:
                return
            try:
                bytes_s = rate_of(typed)
            except ValueError as error:
                self._notify(str(error), "error")
                return
            self._propose(lambda farm: command_rules.bandwidth(farm, host, bytes_s))

        title = f"Bandwidth limit of {host or 'all plotters'} (now {self._limits()}):"
        self._screen.app.push_screen(InputDialog(title, "80M, 500K, off or default"), then)

    def _limits(self) -> str:
        farm, host = self._screen.farm, self._screen.host
        limits = {
            archiver.bandwidth_bytes_s
            for name, archiver in (farm.archivers if farm else {}).items()
            if host in (None, name)
        }
        return ", ".join(sorted("off" if limit is None else f"{human_bytes(limit)}/s" for limit in limits))

    def _checked(
        self, make: Callable[Concatenate[FarmState, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """What `make` returns for the present farm. If it cannot, notify the operator and return None."""
        if self._screen.farm is None:
            self._notify("The farm was not read yet.", "warning")
            return None
        try:
            return make(self._screen.farm, *args, **kwargs)
        except PlotmanError as error:
            self._notify(str(error), "warning")
            return None

    def _propose(self, make: Callable[[FarmState], Proposal]) -> None:
        """Run the proposal, after a question if it has one."""
        proposal = self._checked(make)
        if proposal is None:
            return
        if proposal.confirm is None:
            self._run(proposal)
            return

        def then(confirmed: bool | None) -> None:
            if confirmed:
                self._run(proposal)

        dialog = ConfirmDialog(proposal.what, proposal.confirm, proposal.times)
        self._screen.app.push_screen(dialog, then)

    def _run(self, proposal: Proposal) -> None:
        proposal = command_rules.with_author(proposal, self._by)

        def then(answers: list[Any]) -> None:
            done, failed = command_rules.outcome(proposal, answers)
            for text in done:
                self._notify(text)
            for text in failed:
                self._notify(text, "error")

        self._notify(f"{proposal.what} ...")
        self._requests.run(proposal.calls, proposal.timeout_s, then)

    def _notify(self, text: str, severity: Any = "information") -> None:
        self._screen.app.notify(one_line(text), severity=severity, timeout=_NOTICE_S, markup=False)
