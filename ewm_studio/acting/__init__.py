"""Acting: policies, and the one loop in which they step a simulator."""
