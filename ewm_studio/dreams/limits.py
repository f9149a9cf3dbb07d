"""Numbers that a window knows before PyTorch is there."""

FRESH_FRAMES = 60  # of a fresh track that pass before a dream, beyond those that are no part of the task
TRUSTED, DOUBTED = 2.0, 4.0  # of the trust meter: up to the first a dream is green, up to the second yellow
