"""What `plotman up` runs: this machine's processes, in order, restarted when they crash."""
