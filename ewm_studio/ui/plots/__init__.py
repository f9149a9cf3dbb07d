"""Plots: canvas, axes, cards, lanes and bars."""
