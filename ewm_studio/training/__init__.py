"""Jobs: generators of typed events that the window, the command line and the tests consume alike."""
