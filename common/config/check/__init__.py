"""Checks for `plotman config check` beyond the file itself: unwise values, this machine, its programs."""
