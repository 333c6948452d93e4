"""Celery's result backend for Redis, which trusts no result: every worker's user may overwrite them.

Celery 5.7 takes an error's class from any module that a result names, calls it with the result's arguments,
and raises all kinds of errors where a result has another form. It also stores a traceback with each error.
tests/integration/common/worker/test_results.py fails when its internals move.
"""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

from celery import states
from celery.app.base import Celery
from celery.backends.redis import RedisBackend
from celery.exceptions import NotRegistered, TaskRevokedError
from kombu.utils.encoding import bytes_to_str
from pydantic import BaseModel, ConfigDict, Field
from redis import ResponseError

from common import errors
from common.errors import PlotmanError

log = logging.getLogger(__name__)

_KINDS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (*vars(errors).values(), NotRegistered, TaskRevokedError)
    if isinstance(kind, type) and issubclass(kind, Exception)
}
_MOST_BYTES = 16 << 20  # a page of the history has 1 MB


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)


class _Error(_Part):
    """An error as Celery stores it."""

    exc_type: Annotated[str, Field(max_length=200, pattern=r"^\w+$")]
    exc_message: list[Any] | str = ""


class _Result(_Part):
    status: str
    task_id: str
    traceback: str | None = None


class Backend(RedisBackend):
    def decode_result(self, payload: bytes | str) -> dict[str, Any]:
        """Read a result. Raises ValueError for what is none."""
        if len(payload) > _MOST_BYTES:
            raise ValueError("a result is too large")
        try:
            meta = _Result.model_validate(json.loads(payload)).model_dump()
        except RecursionError:
            raise ValueError("a result is nested too deeply") from None
        meta["children"] = None  # Celery follows them, and plotman does not
        return dict(self.meta_from_decoded(meta))

    def exception_to_python(self, exc: object) -> BaseException | None:
        """Make an error of ours, or one that only says what happened. Raises ValueError for what is none."""
        if exc is None or isinstance(exc, BaseException):
            return exc
        error = _Error.model_validate(exc)
        message = error.exc_message if isinstance(error.exc_message, list) else [error.exc_message]
        said = [str(part) for part in message] or [""]
        kind = _KINDS.get(error.exc_type)
        return kind(*said[:2]) if kind else Exception(f"{error.exc_type}: {' '.join(said)}")

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        """Celery reads what is there before it stores a result. What is none must not hinder this."""
        try:
            return dict(super()._get_task_meta_for(task_id))
        except ValueError as error:
            return {"status": states.FAILURE, "result": error, "task_id": task_id}

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: str | None = None, **options: Any
    ) -> Any:
        """Store an error of ours without a traceback: it says by itself what to do."""
        traceback = None if isinstance(exc, PlotmanError) else traceback
        return super().mark_as_failure(task_id, exc, traceback=traceback, **options)

    def _set(self, key: str | bytes, value: Any, expires: float | None = None) -> None:
        """Store a result. Where Redis refuses it, as when its memory is full, the task is done nevertheless:
        Celery would log a traceback."""
        try:
            super()._set(key, value, expires)
        except ResponseError as error:
            task_id = bytes_to_str(key).removeprefix(bytes_to_str(self.task_keyprefix))
            log.warning("the result of task %s is not kept: Redis refused it: %s", task_id, error)


def install(app: Celery) -> None:
    """Use it for every address of a Redis of this app."""
    app.loader.override_backends = dict.fromkeys(("redis", "rediss"), f"{__name__}:{Backend.__name__}")
