"""The pages of the window, in the order of the rail: a page is a folder, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from ewm_studio.ui.dream.controller import make_page as dream
from ewm_studio.ui.drive.controller import make_page as drive
from ewm_studio.ui.page import Page
from ewm_studio.ui.replay.controller import make_page as replay
from ewm_studio.ui.runs.controller import make_page as runs
from ewm_studio.ui.services import Services
from ewm_studio.ui.study.controller import make_page as study
from ewm_studio.ui.train.controller import make_page as train
from ewm_studio.ui.vision.controller import make_page as vision

MakePage = Callable[[Services], Page]

PAGES: tuple[MakePage, ...] = (train, vision, drive, replay, dream, study, runs)
