"""A run: what the user asked for, the plan, where cells run, and how one cell is trained, evaluated and committed."""
