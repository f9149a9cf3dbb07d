"""Workspaces: runs, their checkpoints and metrics, models and recordings on disk.

Importing this package needs neither torch nor h5py; they are imported when tensors are read or written.
"""

from ewm_studio.workspace.run import Episodes, Points, Run
from ewm_studio.workspace.run_info import RunInfo
from ewm_studio.workspace.workspace import Workspace, default_workspace

__all__ = ["Episodes", "Points", "Run", "RunInfo", "Workspace", "default_workspace"]
