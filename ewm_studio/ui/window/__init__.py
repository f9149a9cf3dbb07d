"""The window: what joins pages, jobs and workspace."""
