"""A `chia plots create` that replays a real log, and notes when it did what.

Copied under the name `chia` into a folder with `plan.json` and the log; see benchmarks/machine.py. Its keys:
  log: path of the log. dst: the directory that the log names as the plot's.
  begins: text of the line with which the wait begins (all before is written at once).
  wait_s: [least, most] seconds to that line, by chance. last_s: the same, from there to the end.
  line_s: seconds between lines of a log that is never at its end; null: as above.
"""

import time

BEGAN = time.time()  # before all else: what follows is ours

import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib alone takes 10 ms
with open(f"{HERE}/plan.json") as file:  # noqa: PTH123
    PLAN = json.load(file)
TMP, DST = (sys.argv[sys.argv.index(option) + 1] for option in ("-t", "-d"))
T, D = TMP.encode(), DST.encode()
PLOT_ID = os.urandom(32).hex()
CHANCE = random.Random()


def note(what, at):
    noted = json.dumps({"what": what, "at": at, "pid": os.getpid(), "tmp": TMP})
    fd = os.open(f"{HERE}/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, noted.encode() + b"\n")
    os.close(fd)


def content():
    with open(PLAN["log"], "rb") as log:  # noqa: PTH123
        text = log.read()
    former = text.split(b"\nID: ")[1][:64]
    tmp, tmp2 = text.split(b"temporary dirs: ")[1].split(b"\n")[0].split(b" and ")
    dst = text.split(b"Final Directory is: ")[1].split(b"\n")[0]
    text = text.replace(former, PLOT_ID.encode())
    text = text.replace(b"temporary dirs: %b and %b\n" % (tmp, tmp2), b"temporary dirs: %b and %b\n" % (T, T))
    text = text.replace(b"Final Directory is: " + dst, b"Final Directory is: " + D)
    for old, new in ((tmp, T), (tmp2, T), (dst, D)):
        text = text.replace(b'"%b/' % old, b'"%b/' % new)
    return text


def until(at):
    time.sleep(max(0.0, at - time.time()))


note("start", BEGAN)
text = content()
cut = text.index(PLAN["begins"].encode())
os.write(1, text[:cut])
if PLAN.get("line_s"):
    for line in text[cut:].splitlines(keepends=True):
        time.sleep(PLAN["line_s"] * CHANCE.uniform(0.5, 1.5))
        os.write(1, line)
    time.sleep(1e9)
middle = BEGAN + CHANCE.uniform(*PLAN["wait_s"])
end = middle + CHANCE.uniform(*PLAN["last_s"])
line, rest = text[cut:].split(b"\n", 1)
until(middle)
os.write(1, line + b"\n")
note("line", time.time())
until(end)
os.write(1, rest)
note("end", time.time())
os._exit(0)
