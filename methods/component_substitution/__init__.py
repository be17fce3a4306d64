"""Component-substitution methods."""
