"""Celery's settings, each with the problem that it avoids."""

from __future__ import annotations

import socket
from typing import Any

from common.model.address import by_socket, kombu_url
from common.names import ROLE_OF_TASK, queue

# A message of a dead worker is delivered again after this time: longer than any plot takes.
_VISIBILITY_TIMEOUT_S = 10_000_000
# Results of plots, transfers and admissions; other tasks leave none.
_RESULTS_KEPT_S = 30 * 86400
_FAILURES_KEPT_S = 86400  # an order may be refused many times
# Threads are made as needed; this bounds plots and short requests of one worker together.
_MOST_TASKS_AT_ONCE = 1000


def route(
    name: str,
    args: Any,  # noqa: ARG001
    kwargs: Any,
    options: Any,  # noqa: ARG001
    task: Any = None,  # noqa: ARG001
    **_: Any,
) -> dict[str, str] | None:
    """Route a task to the queue of the host in its `host` argument, and of the role for its name."""
    role = ROLE_OF_TASK.get(name)
    host = (kwargs or {}).get("host")
    return {"queue": queue(role, host)} if role and isinstance(host, str) else None


def celery_settings(broker_url: str, host: str) -> dict[str, Any]:
    """Settings of every process on `host`; `broker_url` serves as broker and result backend."""
    return {
        "broker_url": kombu_url(broker_url),
        "result_backend": kombu_url(broker_url),
        "include": [
            "plotter_worker.tasks.plot",
            "plotter_worker.tasks.holds",
            "plotter_worker.tasks.archive",
            "plotter_worker.tasks.resend",
            "plotter_worker.tasks.control",
            "plotter_worker.tasks.leftovers",
            "plotter_worker.tasks.history",
            "harvester_worker.tasks.archive",
            "harvester_worker.tasks.holds",
            "harvester_worker.tasks.evacuation",
            "harvester_worker.tasks.replot",
            "harvester_worker.tasks.history",
            "harvester_worker.tasks.inventory",
        ],
        "task_routes": (route,),
        "task_default_queue": "plotman.unrouted",
        "beat_scheduler": "beat.scheduler:FarmScheduler",
        "worker_pool": "common.worker.pool:TaskPool",
        "worker_consumer": "common.worker.consumer:Consumer",
        "worker_concurrency": _MOST_TASKS_AT_ONCE,
        # JSON only: a message cannot contain code.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # Messages are acknowledged at the start of their task and never prefetched, so that a dead worker
        # holds none and none is delivered twice.
        "task_acks_late": False,
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "task_track_started": True,
        "result_extended": True,
        "result_expires": _RESULTS_KEPT_S,
        "result_failure_expires": _FAILURES_KEPT_S,
        # Flower sees the plots without the option -E.
        "worker_send_task_events": True,
        # Redis may be down for any time.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "redis_max_connections": _MOST_TASKS_AT_ONCE,  # with redis-py's default of 100, further tasks fail
        "redis_socket_timeout": 15,
        "redis_socket_connect_timeout": 5,
        "redis_socket_keepalive": not by_socket(broker_url),  # Celery sets it for sockets too
        "redis_backend_health_check_interval": 10,
        # A reset connection must not fail the next task. While Redis is down this gives up within a second,
        # so that workers can stop.
        "result_backend_always_retry": True,
        "result_backend_max_retries": 3,
        "result_backend_base_sleep_between_retries_ms": 20,
        "result_backend_max_sleep_between_retries_ms": 200,
        "broker_transport_options": _transport(host),
        "worker_hijack_root_logger": True,
        "worker_log_format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        "worker_task_log_format": "%(asctime)s %(levelname)s %(task_name)s[%(task_id)s]: %(message)s",
        "worker_redirect_stdouts": False,
    }


def _transport(host: str) -> dict[str, Any]:
    """Options of the Redis transport."""
    return {
        "visibility_timeout": _VISIBILITY_TIMEOUT_S,
        "priority_steps": [0],  # one Redis list per queue
        # Each host restores only its own messages, so that clocks of other hosts do not matter.
        "unacked_key": f"unacked.{host}",
        "unacked_index_key": f"unacked.{host}.index",
        "unacked_mutex_key": f"unacked.{host}.mutex",
        # Without these a silently cut connection is not noticed for 15 minutes.
        "health_check_interval": 10,
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "socket_keepalive_options": {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3},
    }
