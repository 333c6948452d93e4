"""A drive with bad blocks, and one that gives back other bytes than it got."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.lacking import lacking

# Each process reads the orders at each of these calls: they may change while it runs.
_LIBRARY = """
extern long syscall(long, ...);
extern int *__errno_location(void);
extern char *getenv(const char *), *strstr(const char *, const char *);
extern int snprintf(char *, unsigned long, const char *, ...), open(const char *, int, ...), close(int);
extern long readlink(const char *, char *, unsigned long), read(int, void *, unsigned long);
extern long pwrite(int, const void *, unsigned long, long);
#ifdef __x86_64__
enum { READV = 19, FSYNC = 74 };
#else
enum { READV = 65, FSYNC = 82 };
#endif
static int ordered(char what, int fd) {
  char link[64], path[4096], orders[4096], *order = orders;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long length = readlink(link, path, sizeof path - 1);
  int file = length < 0 ? -1 : open(getenv("BAD_DRIVE"), 0);
  if (file < 0) return 0;
  path[length] = 0;
  length = read(file, orders, sizeof orders - 1);
  close(file);
  orders[length < 0 ? 0 : length] = 0;
  while (*order) {
    char *end = strstr(order, "\\n");
    if (!end) return 0;
    *end = 0;
    if (*order == what && strstr(path, order + 1)) return 1;
    order = end + 1;
  }
  return 0;
}
long readv(int fd, const void *buffers, int count) {
  if (ordered('r', fd)) { *__errno_location() = 5; return -1; }
  return syscall(READV, fd, buffers, count);
}
int fsync(int fd) {
  if (ordered('f', fd)) pwrite(fd, "flipped", 7, 100000);
  return syscall(FSYNC, fd);
}
"""


class BadDrive:
    """Does to processes that start from now on what a bad drive does.

    folder: for a library and the orders.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if shutil.which("cc") is None:
            lacking("there is no C compiler")
        library, self._orders = folder / "bad_drive.so", folder / "bad_drive"
        make = ["cc", "-shared", "-fPIC", "-fno-builtin", "-w", "-x", "c", "-o", library, "-"]
        subprocess.run(make, input=_LIBRARY, text=True, check=True)
        self.works()
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("BAD_DRIVE", str(self._orders))

    def works(self) -> None:
        """As any drive."""
        self._orders.write_text("", encoding="utf-8")

    def cannot_read(self, path: str) -> None:
        """Plots with this in their paths are not read: EIO."""
        self._orders.write_text(f"r{path}\n", encoding="utf-8")

    def flips(self, path: str) -> None:
        """What is written to files with this in their paths changes when it is flushed."""
        self._orders.write_text(f"f{path}\n", encoding="utf-8")
