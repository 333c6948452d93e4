"""Sending one plot by rsync: its command line, process, progress, bandwidth, and the way to the drive."""
