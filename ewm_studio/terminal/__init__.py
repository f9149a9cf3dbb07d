"""What the command line is made of: flags, progress, running a job, lists and the menu."""
