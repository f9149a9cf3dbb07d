"""The panel in which an experiment is edited: forms made from the settings."""
