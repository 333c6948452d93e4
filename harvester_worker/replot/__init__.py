"""Replaces old plots by new ones, as an operator has ordered: what may go, when, and what was counted."""
