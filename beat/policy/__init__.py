"""The rules: pure functions of snapshots and a time. They use no clock, disk, Redis, random number or log."""
