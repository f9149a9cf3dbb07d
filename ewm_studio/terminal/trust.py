"""Whether the module that an environment's id names may be imported, as it is settled on the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace


def settle_trust(id: str, meant: bool) -> None:
    """Let the id's module be imported where the person meant it, and remember that; else only if that was so before.

    Args:
        id: an environment's; of a registered one there is nothing to settle, and Gymnasium is not imported.
        meant: whether the person typed the id, or gave `--trust-env`.

    Raises:
        Untrusted: a file named the module and nobody agreed to it. UserError: there is no such module.
    """
    if ":" not in id:
        return
    from ewm_studio.envs.trust import check_trusted, import_named, trust

    if meant:
        import_named(id)
        with contextlib.suppress(UserError):  # where nothing can be written down, it is asked again next time
            trust(id)
    else:
        check_trusted(id)


def trust_runs(workspace: Workspace, names: Sequence[str]) -> None:
    """Agree to the modules that the settings of these runs name.

    Raises:
        UserError: a run or a module is missing.
    """
    for name in names:
        settle_trust(Experiment.from_toml(workspace.run(name).folder / "experiment.toml").env.id, meant=True)
