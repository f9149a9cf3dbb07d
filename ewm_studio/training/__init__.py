"""How parameters change: PPO, cloning, vision and memory."""
