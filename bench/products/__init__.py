"""Fused images as files: what `sharpen` makes."""
