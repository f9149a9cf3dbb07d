"""A person at the wheel of an environment: keys and gamepads, the clock, the session, the recorder."""
