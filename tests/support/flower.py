"""Flower beside a farm, as programs and browsers reach it."""

from __future__ import annotations

import base64
import shutil
import urllib.error
import urllib.request

from common.model.snapshot import Job
from common.names import Role
from tests.support.farm import HOST, Farm

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def plotting_job(farm: Farm) -> Job | None:
    """The farm's plot, once its id and its phase are known."""
    snapshot = farm.board().snapshots(Role.PLOTTER).get(HOST)
    jobs = snapshot.jobs if snapshot else ()
    return next((job for job in jobs if job.plot_id and job.phase), None)


def answers(port: int) -> bool:
    """Whether Flower answers, with a page or by asking for a password."""
    try:
        return get(port, "/farm") in (200, 401)
    except OSError:
        return False


def revoke(port: int, task_id: str, headers: dict[str, str], terminate: str = "true") -> int:
    """Flower's API, without any page. Returns the status of its answer."""
    return post(port, f"/api/task/revoke/{task_id}?terminate={terminate}", headers)


def post(port: int, path: str, headers: dict[str, str]) -> int:
    """Status of the answer."""
    return _status(
        urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"", headers=headers, method="POST")
    )


def get(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    """Status of the answer."""
    return _status(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {}))


def basic(account: str) -> dict[str, str]:
    """Header of basic authentication; account: USER:PASSWORD."""
    return {"Authorization": "Basic " + base64.b64encode(account.encode()).decode()}


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
