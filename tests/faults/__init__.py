"""The fault suite: kills, full disks, hostile files, misbehaving environments. Run with `uv run pytest -m faults`."""
