"""Vision, memory and controller components, and the world model that joins them."""
