"""Experience: frames in memory and on disk, sequences for training, recordings, rollouts of PPO."""
