"""Views of latent space that pages share."""
