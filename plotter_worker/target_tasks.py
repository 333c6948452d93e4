"""The plotter host's task for archiving targets of plotman 0.5.3."""
