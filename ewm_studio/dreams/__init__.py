"""Dreams: a world model acted in as if it were the environment."""
