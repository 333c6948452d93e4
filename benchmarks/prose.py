"""The text that explains each benchmark's figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prose:
    """reading: how to read the figures. why: what holds plotman where it is behind; shown only there."""

    reading: str
    why: str = ""


PROSE = {
    "dispatch": Prose(
        "The end of a plotter wakes the watcher, and its event wakes the scheduler: plotman does not "
        "poll. 0.5.3 looks once per `polling_time_s`, so its gap is anything up to that time. Every gap "
        "includes the start of the new plotter itself (`nice`, an interpreter).",
        "With short plots even a small gap is a large share.",
    ),
    "watching": Prose(
        "At each look 0.5.3 reads every log from its beginning; plotman reads only new lines, at once. "
        "0.5.3's figure grows with the logs and the plots; plotman's begins with what a Celery worker "
        "needs at rest.",
        "With few jobs the two are alike: two runs differ by a tenth and more, and one tick of the "
        "kernel's clock is 0.2 s/h. The memory is for Python with Celery, kombu and redis-py, and for "
        "the facts about each plot; 0.5.3 discards these between two looks.",
    ),
    "deciding": Prose(
        "`event` is the usual case in a running farm: one plotter has changed. The scheduler reads the "
        "change, decides for the whole farm, and sends the order. `first` and `told` read every "
        "snapshot, some 20 MB of JSON from 1,000 plotters, which takes most of their time: `first` when "
        "a beat starts, `told` if all plotters change at the same moment.",
    ),
    "thousand": Prose(
        "Everything runs on one machine, and the simulated hosts use part of its processor. In a real "
        "farm of a thousand, that part runs on a thousand machines.",
    ),
    "dashboard": Prose(
        "An event is drawn as soon as it is read. Progress alone is read, and drawn, at a pace that takes "
        "2 % of a core each, whatever the size of the farm. Behind a question or a text, Textual draws both "
        "screens as a whole, every three seconds.",
    ),
    "free_space": Prose(
        "0.5.3 asked in this way before each plot, and whenever its screen was drawn. plotman asks only "
        "when an operator does: harvesters publish the state of their drives by themselves.",
        "df lists what is mounted and checks no more. plotman also reports whether each drive is "
        "writable, what is reserved on it and how many plots it has, and a drive that hangs delays no "
        "answer. 4 ms are Celery's round trip; the rest grows with the drives.",
    ),
    "moving": Prose(
        "Each plot costs plotman some messages, checks and flushes, the same for a plot of any size. "
        "*beside the copy* says how much longer than the best rsync the whole move takes. It is "
        "negative where the harvester writes what arrives to the drive while more comes; rsync by "
        "itself leaves that to the end. The bytes that are sent again after a broken transfer matter "
        "more.",
        "Between two folders of one machine cp lets the kernel copy; cp can be neither limited nor resumed.",
    ),
    "command_line": Prose(
        "plotman reads what the plotters published, however many they are; 0.5.3 looks at each process "
        "and reads each log from its beginning.",
        "The rest is the time in which Python loads modules, nearly half of it pydantic. These verbs "
        "load neither redis-py nor Celery, and read only the section `farm` of plotman.yaml.",
    ),
    "memory": Prose(
        "Each row is later than the row above. Python returns little of the memory that it once had; "
        "what counts is that the last rows stop growing. The broker keeps each result for 30 days, "
        "about 7 KiB for a plot and its move.",
    ),
    "inventory": Prose(
        "A harvester reads its drives in the background, once; from then on it only compares size, time and "
        "inode of each file. The sums travel in its snapshot, so that `plotman inventory` waits for none of "
        "this. Lists of files and keys come in pages, each a question.",
    ),
    "eta": Prose(
        "The built-in weights serve until a host has finished a plot of the same plotter, mode, k and "
        "compression. From then on its newest five plots say when each step begins and when the plot ends.",
    ),
}
