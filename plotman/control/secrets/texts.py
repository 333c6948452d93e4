"""What to install: Redis' configuration, each machine's plotman.yaml, and the commands for it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from common.model.address import bracketed
from plotman.control.secrets.acl import Duty
from plotman.control.secrets.plan import Machine, Plan

_WIDTH = 80
_CONF = "/etc/redis/redis.conf"


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
        "# A client that asks for much and reads nothing is disconnected: its answers would fill the memory.",
        "client-output-buffer-limit normal 128mb 64mb 20",
        "client-output-buffer-limit pubsub 32mb 8mb 60",
        "maxmemory-clients 256mb",
        "# The longest text that plotman sends has 16 MB. The sender of a longer one is disconnected.",
        "proto-max-bulk-len 20mb",
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


def commands(
    folder: Path, plan: Plan, new: Sequence[str], is_here: Callable[[str], bool], added: bool
) -> str:
    """Make a POSIX shell script, which may also be piped to `sh -e`. It contains no password.

    No command in it reads the script's own stdin: ssh would consume the lines that were pasted after it.

    folder: of the secrets; absolute. new: machines that just got a file in folder/machines. is_here: whether
    a host is this machine; files of another are copied by ssh as root. added: the farm existed before, so
    that its Redis is running.
    """
    blocks = [f"cd {shlex.quote(str(folder))}", _redis(folder, plan, is_here(plan.broker_host), added)]
    here = [name for name in new if is_here(name)]
    there = [name for name in new if name not in here]
    if new:
        blocks.append(
            "# Machines: install a plotman.yaml with the section `farm` on each. An existing\n"
            "# file is not overwritten: replace the section `farm` in it by hand."
        )
    blocks += [_machine_here(plan, name) for name in here]
    if there:
        blocks.append(_machines_there(plan, there))
    return "\n\n".join(blocks)


def _redis(folder: Path, plan: Plan, here: bool, added: bool) -> str:
    """Make the lines for the machine of Redis."""
    if here and Path(plan.server_dir) == folder / "server":
        if added:
            return "# Redis: restart it, so that it reads the new users. Clients reconnect by themselves."
        return f"# Redis (7.0 or newer): start it as your user.\n# redis-server {plan.server_dir}/redis.conf"
    host, target = plan.broker_host, shlex.quote(plan.server_dir)
    make = f"install -d -m 700 {target}"
    then = [f"chown -R redis: {target}", "systemctl restart redis-server"]
    if not added:
        include = f'"include {plan.server_dir}/redis.conf"'
        then = [f"grep -qsxF {include} {_CONF} ||", f"  echo {include} >>{_CONF}", *then]
    lines = [
        f"# Redis on {host}: install its users, then restart it. Clients reconnect by",
        "# themselves. With Valkey: user valkey, unit valkey-server.",
    ]
    if here:
        return "\n".join([*lines, make, f"cp server/* {target}/", *then])
    script = shlex.quote("\n".join(["set -e", *then]))
    lines += [
        f"ssh -n root@{host} {shlex.quote(make)}",
        f"scp server/* root@{bracketed(host)}:{target}/",
        f"ssh -n root@{host} {script}",
    ]
    return "\n".join(lines)


def _machine_here(plan: Plan, name: str) -> str:
    etc = shlex.quote(str(Path(plan.ca_file).parent))
    lines = [f"mkdir -p {etc}"]
    if plan.tls:
        lines.append(f"cp server/ca.crt {shlex.quote(plan.ca_file)}")
    lines.append(f"(umask 77; set -C; cat >{etc}/plotman.yaml) <machines/{name}.yaml")
    return "\n".join(lines)


def _machines_there(plan: Plan, names: Sequence[str]) -> str:
    etc = shlex.quote(str(Path(plan.ca_file).parent))
    lines = [*_wrapped("for m in", names, "; do"), f'  ssh -n root@$m "mkdir -p {etc}"']
    if plan.tls:
        lines.append(f"  scp server/ca.crt root@$m:{shlex.quote(plan.ca_file)}")
    lines += [
        f'  ssh root@$m "umask 77; set -C; cat >{etc}/plotman.yaml" \\',
        "    <machines/$m.yaml",
        "done",
    ]
    return "\n".join(lines)


def _wrapped(start: str, words: Sequence[str], end: str) -> list[str]:
    """Split one shell command over several lines."""
    lines = [start]
    for word in words:
        if len(lines[-1]) + len(word) + len(end) + 3 > _WIDTH:
            lines[-1] += " \\"
            lines.append(" ")
        lines[-1] += f" {word}"
    lines[-1] += end
    return lines
