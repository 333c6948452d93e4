"""Queries and actions behind the command line and the dashboards, independent of how they are shown."""
