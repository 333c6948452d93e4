"""An `xchplot2` that makes real plot groups of k18 with chia_rs, and prints what the real one documents.

Copied under the name `xchplot2` into a folder, with `plan.json` and, once it may continue, `go` beside it.
The plan's keys, all optional:
  hold: number of plots that it makes before it waits for `go`.
  fail: numbers of plots (from 0) that fail.
  suffix: of the plots; `.plot2` gets no content that can be farmed.
Its job file has a "private key", SECRET. The first SIGTERM lets it finish the plot in flight.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT, SECRET = "@ROOT@", "5ec2e7" * 10
HERE = Path(__file__).resolve().parent
sys.path.insert(0, ROOT)

from tests.support.formats import make_group  # noqa: E402

PLAN = json.loads((HERE / "plan.json").read_text())
if sys.argv[1:] == ["--help"]:
    sys.exit(print("xchplot2: plot, batch, verify, devices, bench"))
if sys.argv[1] != "plot" or sys.argv[sys.argv.index("--config") + 1] != "/dev/null":
    sys.exit(f"Error: {sys.argv[1:]}")


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def say(text):
    if "--progress" in sys.argv or "progress" not in text:
        print(text, file=sys.stderr, flush=True)


def cancel(*_):
    cancelled.append(True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def publish(number):
    """Make a plot, and give it its final name; its path is printed when it has it."""
    made = make_group(TMP, int(option("-k")))
    final = DST / made.with_suffix(PLAN.get("suffix", ".gplot")).name
    partial = Path(f"{final}.partial.{os.urandom(3).hex()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, made.read_bytes())
    made.unlink()
    if number in PLAN.get("fail", ()):
        raise OSError("CUDA error: out of memory")
    os.fsync(fd)
    os.close(fd)
    partial.rename(final)
    print(final, flush=True)


cancelled = []
signal.signal(signal.SIGTERM, cancel)
N, DST = int(option("-n")), Path(option("-o"))
TMP = Path(option("--temp-dir"), f"spill-{os.getpid()}")
TMP.mkdir()
job = DST / f"xchplot2-job-{os.getpid()}.tsv"
job.touch(0o600)
job.write_text("".join(f"18\t2\t0\t0\t{SECRET}\t{DST}\tgplot-v2\n" for _ in range(N)))
began, made, failed = time.monotonic(), 0, 0
for number in range(N):
    while number >= PLAN.get("hold", N) and not (HERE / "go").exists() and not cancelled:
        time.sleep(0.01)
    if cancelled:
        say(f"[batch] cancel received — stopping before plot {number}")
        break
    try:
        publish(number)
    except OSError as error:
        failed += 1
        say(f"[batch] plot {number} FAILED (GPU): {error} — continuing")
        continue
    made += 1
    took_s = time.monotonic() - began
    share, rest = f"{100 * made / N:.1f}%", "0.000373 TiB/s, batch ETA ~1s"
    say(f"[batch] progress: plot {made}/{N} done ({share}, {took_s / made:.2f} s/plot avg, {rest})")
TMP.rmdir()
took_s = time.monotonic() - began
lost = f"; failed {failed}" if failed else ""
say(f"[plot] wrote {made} plots in {took_s:.2f} s ({took_s / max(made, 1):.2f} s/plot){lost}")
sys.exit(4 if cancelled else 3 if failed else 0)
