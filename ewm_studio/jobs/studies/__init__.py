"""Studies: many runs, side by side, judged alike; what they come to, and the report of it."""
