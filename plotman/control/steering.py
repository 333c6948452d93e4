"""Orders to plotters, as tasks that are waited for."""

from __future__ import annotations

from pathlib import PurePath

from celery.exceptions import TimeoutError as NoAnswer
from kombu.exceptions import OperationalError

from common import config
from common.errors import BrokerError, ExitCode, PlotmanError
from common.names import BANDWIDTH, PAUSE, RESEND, UNPAUSE, Role
from common.snapshot import PlotState
from plotman.control.farm import board

_ANSWER_S = 10


class NotAllowed(PlotmanError):
    """The rights of this machine's Redis user do not go so far."""

    exit_code = ExitCode.UNREACHABLE


class NobodyThere(PlotmanError):
    """No such host, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


def plotters(host: str | None) -> list[str]:
    """The plotters meant: the named one, or all that are alive. Raises NobodyThere."""
    alive = sorted(board().snapshots(Role.PLOTTER))
    if host is None and alive:
        return alive
    if host in alive:
        return [host]
    known = ", ".join(alive) or "none"
    raise NobodyThere(f"No plotter {host or ''} answers.".replace("  ", " "), f"Plotters that do: {known}.")


def pause(host: str, reason: str, after: int | None) -> str:
    """Start no more plots there, or `after` more. What the plotter answers."""
    extra = {} if after is None else {"after": after}
    return _call(PAUSE, host, reason=reason, **extra)


def unpause(host: str) -> str:
    return _call(UNPAUSE, host)


def bandwidth(host: str, bytes_s: int | None) -> str:
    """0: no limit; None: as its plotman.yaml says."""
    extra = {} if bytes_s is None else {"bytes_s": bytes_s}
    return _call(BANDWIDTH, host, **extra)


def resend(host: str, plot: str) -> str:
    return _call(RESEND, host, plot=plot)


def holder_of_refused(plot: str, host: str | None) -> str:
    """The plotter that has this refused plot: its path, its name or the start of its id. Raises NobodyThere
    where none or several do."""
    if host is not None:
        return plotters(host)[0]
    having = [
        name
        for name, snapshot in board().snapshots(Role.PLOTTER).items()
        for one in snapshot.plots
        if one.state is PlotState.REFUSED
        and (plot in (one.path, PurePath(one.path).name) or (one.plot_id or "").startswith(plot.lower()))
    ]
    if len(having) == 1:
        return str(having[0])
    raise NobodyThere(
        f"{plot} names {'more than one refused plot' if having else 'no refused plot'} of the farm.",
        "`plotman status` shows them; name its path and --host.",
    )


def this_host() -> str:
    return config.load().host


def _call(task: str, host: str, **kwargs: object) -> str:
    from plotman.celery import app  # late: it takes half a second to import

    try:
        return str(app.send_task(task, kwargs={"host": host, **kwargs}, expires=_ANSWER_S).get(_ANSWER_S))
    except NoAnswer as error:
        raise NobodyThere(
            f"The plotter worker of {host} did not answer within {_ANSWER_S} s.",
            "Is `plotman up` running there?",
        ) from error
    except OperationalError as error:
        if "permission" in str(error):
            raise NotAllowed(
                f"The user of farm.broker may not order {host}.",
                "Order from the scheduler's machine, or from the host itself.",
            ) from error
        raise BrokerError(f"The broker cannot be reached: {error}.", "Start `plotman up`.") from error
