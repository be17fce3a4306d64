"""The harness: what runs, in which order, on which machine, and what is written."""
