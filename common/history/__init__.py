"""What happened on this host, kept on its own disk: every plot and transfer, how long it took, how it ended.

A restart or an empty Redis does not lose it. Each process writes a file of its own, `history/ROLE.sqlite3`
below the state directory, in one thread; others may read it.
"""
