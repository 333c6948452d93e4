"""Telling people what happens: events and the state of the farm become notifications, each told once."""
