"""The Vision page."""
