"""Notifications: events and lasting conditions of the farm, each sent once."""
