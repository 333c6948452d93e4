"""Receivers: for each transfer an rsync module that can fill one part file, and write, read or list nothing
else."""
