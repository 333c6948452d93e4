"""How plotman's tasks are declared: each argument has a type, and a message with another type is refused.

Celery 5.7's own `pydantic=True` checks only arguments that are models, lets texts pass as numbers inside of
them, and answers with pydantic's error and a traceback.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from celery import shared_task
from pydantic import create_model

from common.errors import OrderRefused, PlotmanError
from common.model.messages import Message


def task(name: str, *, bind: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Declare a function as the Celery task `name`.

    Its parameters are the task's arguments, with their annotations as types. A function with a Message as its
    only parameter gets it made of the task's arguments, which are then given by name.

    Args:
        name: one of common.names.
        bind: whether the first parameter is the Celery task.
        options: of Celery's tasks.

    Raises:
        OrderRefused: (the task) an argument is missing, unknown or of another type.
    """

    def declare(function: Callable[..., Any]) -> Any:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[bind:]
        kinds = {one.name: hints[one.name] for one in parameters}
        whole = len(kinds) == 1 and _is_message(*kinds.values())
        fields: dict[str, Any] = {
            one.name: (kinds[one.name], ... if one.default is one.empty else one.default)
            for one in parameters
        }
        model = next(iter(kinds.values())) if whole else create_model(name, __base__=Message, **fields)
        by_position = () if whole else tuple(kinds)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            mine, args = args[:bind], args[bind:]
            if len(args) > len(by_position) or kwargs.keys() & set(by_position[: len(args)]):
                raise OrderRefused("The task's arguments are wrong: too many.", "Give each by its name.")
            message = model.read(**dict(zip(by_position, args, strict=False)), **kwargs)
            if whole:
                return function(*mine, message)
            return function(*mine, **{one: getattr(message, one) for one in kinds})

        return shared_task(name=name, bind=bind, typing=False, throws=(PlotmanError,), **options)(run)

    return declare


def _is_message(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Message)
