"""Where `ewm-studio` and `python -m ewm_studio` begin, before anything that takes its time is imported."""

import os
import signal
import sys

INTERRUPTED = 130  # as in terminal.stopping, which is not imported yet


def main() -> int:
    """Run the command line on the process's own arguments; returns the exit code."""
    fill_standard_streams()
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # until a command says what it does then
    from ewm_studio.cli import main as command_line

    return command_line()


def fill_standard_streams() -> None:
    """Open what is closed of the numbers 0 to 2 on nothing: the next file would have its number, and take what is
    printed there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free is this one


if __name__ == "__main__":  # an environment's subprocess imports this module again
    sys.exit(main())
