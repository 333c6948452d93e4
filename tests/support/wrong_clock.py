"""A machine whose clock differs from Redis'."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from common.store.farm_clock import CLOCK
from tests.support.lacking import lacking

HOUR_S, DAY_S = 3600.0, 86_400.0


def set_ahead(monkeypatch: pytest.MonkeyPatch, ahead_s: float) -> None:
    """Let the farm's clock of this process find its machine's clock this far ahead of Redis'."""
    monkeypatch.setattr(CLOCK, "_wall", lambda: time.time() + ahead_s)
    CLOCK.ask(lambda: (int(time.time()), int(time.time() % 1 * 1e6)))


# Only the clock that can be set: libfaketime 0.9.10 also breaks sleeps until a monotonic time.
_LIBRARY = """
struct timespec { long s, ns; };
extern long syscall(long, ...), atol(const char *);
extern char *getenv(const char *);
#ifdef __x86_64__
enum { CLOCK_GETTIME = 228 };
#else
enum { CLOCK_GETTIME = 113 };
#endif
int clock_gettime(int clock, struct timespec *now) {
  long failed = syscall(CLOCK_GETTIME, clock, now);
  if (!failed && clock == 0) now->s += atol(getenv("AHEAD_S"));
  return failed;
}
int gettimeofday(struct timespec *now, void *zone) {
  long failed = clock_gettime(0, now);
  now->ns /= 1000;
  return failed;
}
long time(long *seconds) {
  struct timespec now;
  clock_gettime(0, &now);
  if (seconds) *seconds = now.s;
  return now.s;
}
"""


def by_clock(ahead_s: float, folder: Path, *argv: str) -> list[str]:
    """The argv of a process on a machine whose clock is this far ahead. Files still get the right times.

    Args:
        folder: for a library.
    """
    library = folder / "wrong_clock.so"
    if not library.exists():
        if shutil.which("cc") is None:
            lacking("there is no C compiler")
        make = ["cc", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w", "-x", "c", "-o", library, "-"]
        subprocess.run(make, input=_LIBRARY, text=True, check=True)
    return ["env", f"LD_PRELOAD={library}", f"AHEAD_S={ahead_s:.0f}", *argv]
