"""`plotman cleanup` and `plotman why` on a farm that runs."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from tests.support.farm import HOST, Farm
from tests.support.held import begun
from tests.support.sections import SMALL
from tests.support.waiting import eventually

K20 = SMALL | {"k": 20, "job_buffer": 400}
DEAD = f"plot-k32-2026-11-22-11-28-{'d' * 64}.plot"


def test_leftovers_go_running_plots_stay_and_each_wait_is_explained(farm: Farm) -> None:
    farm.configure(tmp=2, plotting={"chiapos": {"executable": str(farm.chia), **K20}})
    for folder in ("tmp/1", "tmp/2", "dst/1"):
        (farm.folder / folder / f"{DEAD}.table1.tmp").write_bytes(bytes(50_000))
        then = time.time() - 7200
        os.utime(farm.folder / folder / f"{DEAD}.table1.tmp", (then, then))
    farm.allow(1)
    farm.up()
    job = eventually(lambda: begun(farm), "a plot has its files", 60)[0]
    os.kill(job.pid, signal.SIGSTOP)

    # A dry run tells, and --yes deletes exactly that; the suspended plot keeps all of its files.
    eventually(lambda: "leftovers in 3 directories" in farm.run("status").stdout, "status tells of it")
    dry = farm.run("cleanup")
    assert dry.returncode == 0, dry.stderr
    assert "plotman cleanup --yes" in dry.stdout
    assert "dddddddd" in dry.stdout
    told = _json(farm, "cleanup", "--tmp", str(farm.folder / "tmp" / "1"))
    assert [len(host["leftovers"]) for host in told["hosts"]] == [1]
    assert {file["plot_id"] for file in told["hosts"][0]["kept"]} <= {job.plot_id}
    done = _json(farm, "cleanup", "--yes")
    assert (done["hosts"][0]["deleted"], done["hosts"][0]["refused"]) == (3, [])
    assert not list(farm.folder.glob(f"*/*/{DEAD}*"))
    assert list(farm.folder.glob(f"tmp/*/*{job.plot_id}*.tmp"))
    (told_of,) = eventually(lambda: farm.events("cleaned-up"), "it is told")
    assert told_of.text.startswith("3 leftover files deleted,")
    assert farm.run("cleanup", "--tmp", "/elsewhere").returncode == 5

    # Why: the host as a whole, the suspended plot, and who does not exist.
    answers = _json(farm, "why")["answers"]
    assert {"paused"} <= {answer["rule"] for answer in answers if answer["host"] == HOST}
    short = str(job.plot_id)[:8]
    eventually(
        lambda: f"`plotman resume {short} --host {HOST}`" in farm.run("why", short).stdout,
        "it is seen to stand",
    )
    unknown = farm.run("why", "nobody")
    assert (unknown.returncode, HOST in unknown.stderr) == (5, True)

    # Without a scheduler the same rules answer.
    farm.kill("beat", signal.SIGSTOP)
    eventually(lambda: farm.board().leader() is None, "the lease runs out")
    alone = _json(farm, "why", HOST)
    assert alone["decided_by"] is None
    assert {"paused", "suspended"} <= {answer["rule"] for answer in alone["answers"]}
    assert farm.run("why").stdout.startswith("! No scheduler decides now")
    farm.kill("beat", signal.SIGCONT)

    os.kill(job.pid, signal.SIGCONT)
    eventually(lambda: len(farm.archived()) == 1, "the plot that was suspended is whole and archived", 120)
    found = farm.run("why", short)
    assert found.returncode == 0, found.stderr
    assert str(farm.folder / "drives") in found.stdout


def _json(farm: Farm, *arguments: str) -> dict[str, Any]:
    ran = farm.run(*arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
