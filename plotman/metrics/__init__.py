"""Metrics of the farm for Prometheus."""
