"""The rules: pure functions of snapshots and a time. No clock, disk, Redis, chance or log in here."""
