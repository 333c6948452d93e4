"""Unfinished files of plots that nobody makes any more: found, told, and deleted when a person says so."""
