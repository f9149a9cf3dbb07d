"""Jobs in the window: the queue, the thread that pulls events, the run bar."""
