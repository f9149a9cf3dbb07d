"""The report on paper: from the window and from the command line, with all its plots, on paper wide enough."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.ui.study.pdf import for_paper, write_pdf
from tests.support import ROOT
from tests.support.studies import written_study
from tests.ui.conftest import WAIT
from tests.ui.study.steps import choose, controller

MANY = """
[vary.memory]
a-rather-long-name-of-a-memory-1 = { memory.name = "NoMemory" }
a-rather-long-name-of-a-memory-2 = { memory.name = "LSTMMemory" }
a-rather-long-name-of-a-memory-3 = { memory.name = "MDNRNN" }
a-rather-long-name-of-a-memory-4 = { memory.name = "History" }
a-rather-long-name-of-a-memory-5 = { memory.name = "RSSM" }
a-rather-long-name-of-a-memory-6 = { memory.name = "TemporalTransformer" }
[seeds]
reported = "0-4"
[judge]
episodes = 2
"""


def paper(path):
    """Width and height of the pages, in points."""
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", data)}
    ((left, bottom, width, height),) = boxes
    return width - left, height - bottom


def test_every_plot_of_the_page_stands_on_paper(qapp, tmp_path):
    file, _, workspace = written_study(tmp_path / "ws")
    report = Path(write_outcome(file, workspace)["report"])
    page = report.read_text()
    body, plots = for_paper(page)
    assert len(plots) == page.count("<svg") == 4
    assert "<svg" not in body
    assert "var(--" not in body + "".join(plots)
    width, height = paper(write_pdf(report, tmp_path / "s.pdf"))
    assert width == pytest.approx(595, abs=1.5)
    assert height == pytest.approx(842, abs=1.5)
    blank = tmp_path / "blank.html"
    blank.write_text(re.sub(r"<svg.*?</svg>", "<svg></svg>", page, flags=re.DOTALL))
    write_pdf(blank, tmp_path / "blank.pdf")
    assert (tmp_path / "s.pdf").stat().st_size > (tmp_path / "blank.pdf").stat().st_size + 5000


def test_wide_tables_get_wide_paper(qapp, tmp_path):
    file, _, workspace = written_study(tmp_path / "ws", MANY)
    width, height = paper(write_pdf(Path(write_outcome(file, workspace)["report"]), tmp_path / "s.pdf"))
    assert width > height


def test_a_place_that_cannot_be_written_is_said_in_one_line(qapp, tmp_path):
    file, _, workspace = written_study(tmp_path / "ws")
    report = Path(write_outcome(file, workspace)["report"])
    with pytest.raises(UserError, match="cannot be written"):
        write_pdf(report, tmp_path / "nowhere" / "s.pdf")


def test_the_window_saves_it_where_the_person_says(qtbot, watching, tmp_path, monkeypatch):
    target = tmp_path / "on paper"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(target), ""))
    page = controller(watching).page
    choose(qtbot, page.report, page.report.menu(), "Save as PDF")
    made = tmp_path / "on paper.pdf"
    qtbot.waitUntil(made.is_file, timeout=WAIT)
    paper(made)


def test_the_command_writes_it_without_a_screen(tmp_path):
    written_study(tmp_path / "ws", name="small")
    env = {name: value for name, value in os.environ.items() if name not in ("QT_QPA_PLATFORM", "DISPLAY")}
    line = [sys.executable, "-m", "ewm_studio", "study", "report", str(tmp_path / "ws" / "small.study.toml")]
    line += ["--workspace", str(tmp_path / "ws"), "--out", str(tmp_path / "small.pdf")]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert f"report: {tmp_path / 'small.pdf'}" in done.stdout
    paper(tmp_path / "small.pdf")
