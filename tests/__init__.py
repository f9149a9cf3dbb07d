"""The tests."""

import ewm_studio  # noqa: F401  before any test module imports torch, as a program does
