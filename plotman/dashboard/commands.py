"""Commands of the operator: what a key does to the farm, the question before it, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec

from common.errors import PlotmanError
from common.model.units import human_bytes
from plotman.control.arguments import rate_of
from plotman.control.farm import FarmState
from plotman.dashboard import command_rules
from plotman.dashboard.command_rules import Proposal
from plotman.dashboard.dialogs import ConfirmDialog, InputDialog
from plotman.dashboard.notices import Notices
from plotman.dashboard.requests import Asker, Requests
from plotman.dashboard.screen import MainScreen

P = ParamSpec("P")
_FILES_S = 15.0


class Commands:
    """screen: knows the farm, the host in view and the chosen row. by: the operator, `user@machine`."""

    def __init__(self, screen: MainScreen, notices: Notices, asker: Asker, by: str | None = None) -> None:
        self._screen = screen
        self._notices = notices
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
                self._notices.show([str(answer)], "warning", instead_of=asking)
            else:
                propose = partial(command_rules.kill, subject=subject, answer=answer)
                self._notices.end(asking, partial(self._propose, propose))

        asking = self._notices.show([f"asking {question.host} what would be deleted"])
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
                self._notices.show([str(error)], "error")
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
            self._notices.show(["The farm was not read yet."], "warning")
            return None
        try:
            return make(self._screen.farm, *args, **kwargs)
        except PlotmanError as error:
            self._notices.show([str(error)], "warning")
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
            self._notices.show([*failed, *done], "error" if failed else "information", instead_of=ordered)

        ordered = self._notices.show([f"{proposal.what} ..."])
        self._requests.run(proposal.calls, proposal.timeout_s, then)
