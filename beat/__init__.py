"""The scheduler: decides which plots start where, and which finished plots move where."""
