"""What `plotman replot` shows: the plan, and how a replot goes."""
