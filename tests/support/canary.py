"""A module that writes a file when it is imported, so that a test sees whether its code ran."""

import sys
from pathlib import Path

SOURCE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv
gym.registry.pop("Canary-v0", None)
gym.register(id="Canary-v0", entry_point=CartPoleEnv, max_episode_steps=20)
"""


class Canary:
    """The module `canary_env` in a folder of its own, which is first on the path while the test lasts.

    A dotted name makes packages, each of which is a canary too.
    """

    def __init__(self, folder: Path, monkeypatch, module: str = "canary_env") -> None:
        self.folder, self.module, self.id = folder, module, f"{module}:Canary-v0"
        self._mark = folder / "it-ran"
        source = SOURCE.format(mark=str(self._mark))
        *packages, name = module.split(".")
        at = folder
        at.mkdir()
        for package in packages:
            at = at / package
            at.mkdir()
            (at / "__init__.py").write_text(source)
        self.file = at / f"{name}.py"
        self.file.write_text(source)
        if monkeypatch is not None:
            monkeypatch.syspath_prepend(str(folder))
            for part in range(len(packages) + 1):
                monkeypatch.delitem(sys.modules, ".".join([*packages, name][: part + 1]), raising=False)

    @property
    def ran(self) -> bool:
        """Whether its code ran in any process."""
        return self._mark.exists()
