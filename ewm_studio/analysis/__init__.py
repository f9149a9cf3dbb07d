"""Looking without changing: traces of episodes, films, latent space, held-out figures, curves."""
