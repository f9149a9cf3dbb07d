"""The Drive page."""
