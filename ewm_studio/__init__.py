"""EWM Studio."""
