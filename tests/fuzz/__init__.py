"""Damaged files through every reader, and damaged results folders through `report`: seeded, so that every failure repeats.

`make fuzz` runs the long campaign and prints its seed; `python -m tests.fuzz --repeat SEED/SUBJECT/NUMBER` runs one case again.
"""
