"""The sections of plotman.yaml: one model each, with bounds, description and example of every key."""
