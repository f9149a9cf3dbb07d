"""Learning while driving, shown beside the wheel."""
