"""The way into this harvester: for each transfer a door of its own, through which one part file can be
filled and nothing else be written, read or listed."""
