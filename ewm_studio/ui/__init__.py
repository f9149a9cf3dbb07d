"""The window: shows what the engine's events say and edits its settings. The only package that imports Qt."""
