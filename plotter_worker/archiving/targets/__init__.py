"""Archiving targets as in plotman 0.5.3: asks their free space, runs their scripts, and checks the copies."""
