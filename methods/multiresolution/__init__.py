"""Multiresolution-analysis methods."""
