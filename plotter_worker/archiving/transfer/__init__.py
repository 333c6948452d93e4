"""Sending finished plots: the command line, running it, reading its progress, judging its end."""
