"""The first gamepad, read through pygame's joysticks: sticks, triggers and cross as the arrow keys they stand for."""

from __future__ import annotations

import os
import time
from typing import Any

from ewm_studio.driving.controls import Controls

DEAD = 0.15  # a stick within this of its middle is let go
LOOK_SECONDS = 2.0  # between two looks for a gamepad that was plugged in
_STICKS = {0: ("left", "right")}  # axis -> the keys of its two ways
_TRIGGERS = {2: "down", 5: "up"}  # as Linux and Windows number them; at rest at -1
_KEYS = ("left", "right", "up", "down")


class Gamepad:
    """Moves the arrow keys of `Controls`. One thread makes and polls it."""

    def __init__(self) -> None:
        self._pad: Any = None
        self._looked = float("-inf")
        self._amounts = dict.fromkeys(_KEYS, 0.0)
        self._touched: set[int] = set()  # triggers say 0, which is half pressed, until they are first touched

    def poll(self, controls: Controls | None) -> list[str]:
        """Take over what is held on the gamepad; returns the keys that went down with it."""
        if not self._ready() or controls is None:
            return []
        before, self._amounts = self._amounts, self._read()
        for key, amount in self._amounts.items():
            if amount != before[key]:
                controls.press(key, amount)
        return [key for key in _KEYS if self._amounts[key] > 0 and before[key] == 0]

    def _ready(self) -> bool:
        """Whether there is a gamepad; looks for one now and then."""
        if self._pad is not None and self._attached():
            return True
        self._pad = None
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        self._pad = _first_pad()
        return self._pad is not None

    def _attached(self) -> bool:
        """Whether it still answers: an environment that closes its window ends all of pygame."""
        import pygame

        try:
            pygame.event.pump()
            return bool(pygame.joystick.get_init() and self._pad.get_init())
        except pygame.error:
            return False

    def _read(self) -> dict[str, float]:
        pad, amounts = self._pad, dict.fromkeys(_KEYS, 0.0)
        for axis, (less, more) in _STICKS.items():
            value = _beyond_dead(pad.get_axis(axis)) if axis < pad.get_numaxes() else 0.0
            amounts[less], amounts[more] = max(-value, 0.0), max(value, 0.0)
        for axis, key in _TRIGGERS.items():
            if axis < pad.get_numaxes():
                value = pad.get_axis(axis)
                self._touched |= {axis} if value != 0 else set()
                pressed = _beyond_dead((value + 1) / 2) if axis in self._touched else 0.0
                amounts[key] = max(amounts[key], pressed)
        for hat in range(pad.get_numhats()):
            x, y = pad.get_hat(hat)
            for key, on in (("left", x < 0), ("right", x > 0), ("up", y > 0), ("down", y < 0)):
                amounts[key] = 1.0 if on else amounts[key]
        return amounts


def _beyond_dead(value: float) -> float:
    """-1 to 1 with the middle cut out, going on smoothly from its edge; steps of 1/64 against trembling."""
    size = max(abs(value) - DEAD, 0.0) / (1 - DEAD)
    return round(min(size, 1.0) * 64) / 64 * (1 if value > 0 else -1)


def _first_pad() -> Any:
    """The first gamepad, or None; needs no window, but SDL wants some display to be there: one in memory will do."""
    import pygame

    os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    try:
        if not pygame.display.get_init():
            _start_display_in_memory()
        pygame.joystick.init()
        pygame.event.pump()
        if pygame.joystick.get_count() == 0:
            return None
        pad = pygame.joystick.Joystick(0)
        pad.init()
        return pad
    except pygame.error:
        return None


def _start_display_in_memory() -> None:
    import pygame

    before = os.environ.get("SDL_VIDEODRIVER")
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        pygame.display.init()
    finally:
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
        else:
            os.environ["SDL_VIDEODRIVER"] = before
