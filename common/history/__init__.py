"""History of a host on its own disk: every plot and transfer, its duration and its outcome.

It survives restarts and an empty Redis. Each role writes its own file, `history/ROLE.sqlite3` in the state
directory, in one thread; other processes may read it.
"""
