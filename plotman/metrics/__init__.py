"""The farm as Prometheus reads it."""
