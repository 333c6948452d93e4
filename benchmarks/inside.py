"""What runs first in a process table of its own: starts what a plan says, and buries what ends.

python -m benchmarks.inside PLAN.json; its keys are the arguments of benchmarks.machine.Machine.run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    plan: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for _ in range(plan["others"]):
        subprocess.Popen(["sleep", "1000000"], stdin=subprocess.DEVNULL)
    for job in plan["jobs"]:
        with Path(job["log"]).open("ab") as log:
            subprocess.Popen(job["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(plan["pause_s"])
    with Path(plan["output"]).open("ab") as output:
        subprocess.Popen(
            plan["argv"], env=plan["environment"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
