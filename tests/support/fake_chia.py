"""A `chia plotters chiapos` that replays a real log, as fast or slowly as a test wants.

Copied under the name `chia` into a folder with `plan.json`, and then found in the process table as the
real one is. The plan's keys, all optional:
  log: path of the log to replay (default: none).
  hold: text; before the first line with it the plotter waits until the file `go` is beside it.
  unended: true; the last line is written without its newline, then the plotter waits for the file `go`.
  garble: hex of bytes to write after the last line.
  live_s: seconds to live on after the last line (default 0).
  exit: exit code.
  litter: tmp files to leave behind.
Each start and end, and each line of the log with the plan's `stamp` in it, is noted in `stamps`: when (`at`
since the epoch, `up_s` since the machine started, as `born_s`, when this process was begun).
"""

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLAN = json.loads((HERE / "plan.json").read_text())
TMP, DST = (sys.argv[sys.argv.index(option) + 1] for option in ("-t", "-d"))
PLOT_ID = os.urandom(32).hex()


def stamp(what):
    born_s = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf(
        "SC_CLK_TCK"
    )
    now = {"at": time.time(), "up_s": time.clock_gettime(time.CLOCK_BOOTTIME), "born_s": born_s}
    noted = json.dumps({**now, "what": what, "tmp": TMP, "dst": DST, "pid": os.getpid()})
    fd = os.open(HERE / "stamps", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, noted.encode() + b"\n")


def lines():
    if "log" not in PLAN:
        return
    content = Path(PLAN["log"]).read_bytes()
    former = content.split(b"\nID: ")[1][:64]
    tmp, tmp2 = content.split(b"temporary dirs: ")[1].split(b"\n")[0].split(b" and ")
    dst = content.split(b"Final Directory is: ")[1].split(b"\n")[0]
    content = content.replace(former, PLOT_ID.encode())
    for old, new in ((tmp, TMP), (tmp2, TMP), (dst, DST)):
        content = content.replace(old, new.encode())
    yield from content.splitlines(keepends=True)


stamp("start")
for number in range(PLAN.get("litter", 0)):
    name = f"plot-k18-2026-11-22-11-20-{PLOT_ID}.plot.p1.t1.{number}.tmp"
    Path(TMP, name).write_bytes(bytes(10_000))
log_lines = list(lines())
for line in log_lines:
    if PLAN.get("hold", "\0").encode() in line:
        while not (HERE / "go").exists():
            time.sleep(0.005)
    if PLAN.get("stamp", "\0").encode() in line:
        stamp("line")  # before anybody can read it
    os.write(1, line.removesuffix(b"\n") if PLAN.get("unended") and line is log_lines[-1] else line)
while PLAN.get("unended") and not (HERE / "go").exists():
    time.sleep(0.005)
if "garble" in PLAN:
    os.write(1, bytes.fromhex(PLAN["garble"]))
time.sleep(PLAN.get("live_s", 0))
stamp("end")
sys.exit(PLAN.get("exit", 0))
