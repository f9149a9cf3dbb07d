"""How other processes are started: none runs the user's script again; a signal to all leaves time to save."""
