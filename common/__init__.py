"""Shared by all processes: values, names, messages, errors, configuration, the notice board."""
