"""`plotman up`: starts this machine's processes in order, restarts crashed ones, stops them in order."""
