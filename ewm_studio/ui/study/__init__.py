"""The Study page: makes a study, runs it beside the window, watches it, and reads what it comes to."""
