"""What every page is built of: theme, icons, widgets, dialogs, background work."""
