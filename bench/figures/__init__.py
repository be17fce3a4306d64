"""Pictures of results; matplotlib is imported with the first of them."""
