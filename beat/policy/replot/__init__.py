"""Plans which old plots are replaced by new ones, in which order, and when. Deletes nothing. Pure."""
