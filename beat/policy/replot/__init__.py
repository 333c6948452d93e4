"""Plans which old plots give way to new ones, in which order, and when. Deletes nothing. Pure."""
