"""Opening the window from the command line."""

from __future__ import annotations

from ewm_studio.errors import UserError
from ewm_studio.ui.window.screen import check_display

_WITHOUT = "these need no screen: ewm-studio train, pretrain, infer, record, components, envs, runs, --cli"


def open_window(workspace: str | None) -> int:
    """Open the window and stay until it is closed; returns the exit code.

    Raises:
        UserError: there is no screen, or Qt's system libraries are missing.
    """
    check_display(_WITHOUT)
    try:
        from ewm_studio.ui.window.app import main
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] in ("ewm_studio", "pyqtgraph"):
            raise
        raise UserError(f"the window cannot open: {' '.join(str(error).split())}; {_WITHOUT}") from None
    return int(main(workspace) or 0)
