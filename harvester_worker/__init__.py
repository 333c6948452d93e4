"""Knows the drives of one host: free space, reservations, taking plots in."""
