"""What the window knows, without Qt: the experiment being edited, a run's history, the settings' fields."""
