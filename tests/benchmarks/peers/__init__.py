"""The studio beside its peers: Stable-Baselines3, sb3-contrib, and the loop that people write themselves."""
