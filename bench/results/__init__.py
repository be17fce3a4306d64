"""What was measured: the store, and everything that is computed from its records and scores."""
