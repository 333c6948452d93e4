"""Files to install: the configuration of Redis, and each machine's plotman.yaml. Pure."""

from __future__ import annotations

from plotman.control.secrets.acl import Duty
from plotman.control.secrets.plan import Machine, Plan


def redis_conf(plan: Plan) -> str:
    """Make the configuration for Redis 7.0 or newer, or Valkey: a file of its own, or included by another.

    With TLS, plain connections are off. Users: see acl.py. An append-only file keeps messages and results
    over a restart; plotman does not depend on it, since the machines have the truth.
    """
    folder = plan.server_dir
    loopback = plan.broker_host in ("127.0.0.1", "localhost", "::1")
    lines = [
        "# Made by `plotman farm secrets`.",
        "bind 127.0.0.1 -::1" if loopback else "bind * -::*",
        "protected-mode yes",
        f"aclfile {_quoted(f'{folder}/users.acl')}",
        "# Refuse writes when the memory is full: an eviction would lose orders silently.",
        "maxmemory 512mb",
        "maxmemory-policy noeviction",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "tcp-keepalive 60",
    ]
    if plan.tls:
        lines += [
            "port 0",
            f"tls-port {plan.broker_port}",
            f"tls-cert-file {_quoted(f'{folder}/server.crt')}",
            f"tls-key-file {_quoted(f'{folder}/server.key')}",
            f"tls-ca-cert-file {_quoted(f'{folder}/ca.crt')}",
            "# Machines show a password, not a certificate.",
            "tls-auth-clients no",
            'tls-protocols "TLSv1.2 TLSv1.3"',
        ]
    else:
        lines.append(f"port {plan.broker_port}")
    return "\n".join(lines) + "\n"


def machine_yaml(plan: Plan, machine: Machine, password: str) -> str:
    """Make a plotman.yaml with the section `farm` of one machine. It contains the machine's password."""
    lines = [
        f"# {machine.name}: {', '.join(machine.duties)}. Holds a password: chmod 600.",
        "version: [2]",
        "farm:",
        f"  host: {_quoted(machine.name)}",
        f"  broker: {_quoted(plan.broker_url(machine.name, password))}",
    ]
    if Duty.SCHEDULER in machine.duties:
        lines.append("  scheduler: true")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a text for redis.conf and for YAML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
