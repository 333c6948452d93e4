"""Runs, watches and controls the plotters of one host, and sends its finished plots."""
