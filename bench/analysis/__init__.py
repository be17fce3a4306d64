"""What scores can tell: intervals, tests between methods, and what to be careful about."""
