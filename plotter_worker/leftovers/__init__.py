"""Leftovers: unfinished files of plots that no process makes. They are found, and deleted on order."""
