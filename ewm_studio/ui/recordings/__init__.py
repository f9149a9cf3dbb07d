"""Recordings: listed, played, cut, merged, exchanged."""
