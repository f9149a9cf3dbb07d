"""The Plots page."""
