"""The rules, as pure functions of frozen snapshots and a time: no clock, disk, Redis, random or log."""
