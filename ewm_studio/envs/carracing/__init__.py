"""CarRacing-v3 made fast, frame by frame the same; and its laps."""
