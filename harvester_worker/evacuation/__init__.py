"""Moves all plots of a farming drive to other drives, as an operator has ordered: lists them, and deletes
each after another drive has taken it in."""
