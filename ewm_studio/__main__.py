"""`python -m ewm_studio`: the same as `ewm-studio`."""

import sys

from ewm_studio.cli import main

if __name__ == "__main__":  # an environment's subprocess imports this module again
    sys.exit(main())
