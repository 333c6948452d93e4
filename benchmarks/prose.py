"""What is said of each benchmark beside its figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prose:
    """reading: how to read the figures. why: what holds plotman where it is behind; shown only there."""

    reading: str
    why: str = ""


PROSE = {
    "dispatch": Prose(
        "A plotter's end wakes the watcher, whose word wakes the scheduler: nothing is polled. 0.5.3 "
        "looks each `polling_time_s`, so its gap is anything up to that. The new plotter's own start "
        "(`nice`, an interpreter) is in every gap.",
        "With short plots even a small gap is a large share.",
    ),
    "watching": Prose(
        "0.5.3 reads every log from its beginning at each look, plotman what is new in it, at once. "
        "0.5.3's figure grows with the logs and the plots; plotman begins with what a Celery worker "
        "needs at rest.",
        "With few jobs the two are alike: one run and the next differ by a tenth and more, and one tick of "
        "the kernel's clock is 0.2 s/h. Memory is that of Python with Celery, kombu and redis-py, and of "
        "what is known of each plot; 0.5.3 forgets all of it between two looks.",
    ),
    "deciding": Prose(
        "`event` is what happens in a running farm: one plotter has news. The scheduler reads what is "
        "new, decides for the whole farm, and sends the order. `first` and `told` read every snapshot, some "
        "20 MB of JSON from 1,000 plotters, which is most of their time: when a beat starts, and "
        "were all plotters to have news in the same moment."
    ),
    "thousand": Prose(
        "All on one machine, in which simulated hosts take their share of the processor; a real farm "
        "of a thousand has that on a thousand machines."
    ),
    "free_space": Prose(
        "0.5.3 asked so before each plot, and whenever somebody looked at its screen. plotman asks so "
        "only when a person does: harvesters tell of their drives by themselves.",
        "df names what is mounted and looks no further; plotman also knows of each drive whether it may "
        "be written to, what is reserved on it and how many plots it has, and one that hangs stops nobody. "
        "4 ms are Celery's way there and back; the rest grows with the drives.",
    ),
    "moving": Prose(
        "Each plot costs plotman some messages, checks, and flushes of its own, the same for a plot of any "
        "size. *beside the copy* says how much longer than the best rsync all of it takes: less than "
        "nothing where what arrives is written to the drive while more comes, which rsync by itself "
        "leaves to the end. What is sent again after a cut matters more.",
        "Between two folders of one machine cp lets the kernel copy; it can be neither limited nor resumed.",
    ),
    "command_line": Prose(
        "plotman reads what the plotters told, whatever their number; 0.5.3 looks at each process and "
        "reads each log from its beginning.",
        "What is left is Python's loading of modules, nearly half of it pydantic. These verbs load neither "
        "redis-py nor Celery, and read only the section `farm` of plotman.yaml.",
    ),
    "memory": Prose(
        "Each row is later than the one above. Python gives little of what it had back; what counts "
        "is that the last rows do not go on growing. The broker keeps "
        "each result for 30 days, some 7 KiB for a plot and its move.",
    ),
}
