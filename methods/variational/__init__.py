"""Variational, subspace and sparse methods."""
