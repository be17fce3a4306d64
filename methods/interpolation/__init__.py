"""Interpolation alone: the baselines."""
