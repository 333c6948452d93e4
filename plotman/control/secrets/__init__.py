"""`plotman farm secrets`: what a farm of several machines needs so that each may do its own work only."""
