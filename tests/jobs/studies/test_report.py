"""The report: figures of what is kept, a page that stands alone, and honesty where runs failed or are few."""

import re
import shutil
import subprocess
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.conditions import Conditions, keep_conditions
from ewm_studio.jobs.studies.figures import study_figures
from ewm_studio.jobs.studies.one_run import new_record
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.report import report_html
from ewm_studio.jobs.studies.results import asked_records, rows_of
from ewm_studio.jobs.studies.tables import matrix, scores_table
from ewm_studio.models.registry import components
from ewm_studio.settings.cells import CELL_COLUMNS, EPISODE_COLUMNS
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import RESULTS, StudyFolder

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
TEXT = """
title = "Is <b> better than a?"
[vary.memory]
a = { memory.name = "NoMemory" }
"<b>" = { memory.name = "LSTMMemory" }
[seeds]
reported = "0-5"
[judge]
episodes = 4
floor = 0
target = 100
"""


@pytest.fixture
def made(tmp_path):
    """A study whose records are written by hand: scores by cell, and which (cell, seed) failed or is still to come."""

    def make(failed=(), waiting=(), text=TEXT, better=30.0):
        path = tmp_path / "s.study.toml"
        path.write_text(text)
        file, workspace = read_study(path), Workspace(tmp_path / "ws")
        folder = StudyFolder(workspace.path, file.name)
        (folder.path / "runs").mkdir(parents=True, exist_ok=True)
        for plan in file.plans():
            record, place = new_record(plan, file.study.judge), (plan.cell.name, plan.seed)
            if place in waiting:
                continue
            record.state = "failed" if place in failed else "finished"
            if record.state == "finished":
                score = 40.0 + plan.seed + better * (plan.cell.name == "<b>")
                record.scores = {w: [(100_000 + e, score + e, 9) for e in range(4)] for w in file.study.judge.ways}
                run = workspace.create_run("CartPole-v1", "train", plan.experiment.to_toml(), seed=plan.seed)
                for step in range(1, 6):
                    run.log_metrics(step * 100, step, step * 2.0, {"reward/mean_100": step * 8.0})
                run.finish("finished")
                record.runs = [run.name]
                record.trained = {"steps": 500, "frames": 500, "seconds": 10.0, "model": "x"}
            folder.write(record)
        return file, folder, workspace

    return make


def test_columns_that_an_axis_must_not_be_called_are_all_that_there_are(made):
    file, folder, workspace = made(failed=[("a", 0)])
    keep_conditions(folder, TEXT)
    found = write_outcome(file, workspace)["cells"]
    assert {name for cell in found for name in cell} - {"memory"} == set(CELL_COLUMNS)
    rows = [row for record in asked_records(file, folder) for row in rows_of(record)]
    assert {name for row in rows for name in row} - {"memory"} == set(EPISODE_COLUMNS)
    assert (folder.path / RESULTS).read_text().splitlines()[0] == ",".join(("memory", *EPISODE_COLUMNS))


def test_figures_of_every_cell(made):
    file, folder, workspace = made()
    one, two = study_figures(file, folder, workspace).cells
    assert (one.name, one.done, one.failed) == ("a", 6, 0)
    assert one.iqm.value == pytest.approx(44.0)  # the middle of 41.5 to 46.5
    assert one.iqm.low <= one.iqm.value <= one.iqm.high
    assert one.gap.value == pytest.approx(0.56)
    assert two.iqm.value == pytest.approx(74.0)
    assert (one.frames, one.minutes) == (500, pytest.approx(1 / 6))
    assert one.by_frames.x[[0, -1]].tolist() == [100, 500]
    assert one.by_minutes.middle[-1] == pytest.approx(40.0)


def test_who_beats_whom_is_paired_by_episode_and_the_same_in_every_report(made):
    file, folder, workspace = made(better=2.5)
    once, again = (study_figures(file, folder, workspace).better for _ in range(2))
    assert once == again
    seeds = np.arange(6)
    expected = np.mean(seeds[:, None] + 2.5 > seeds[None])
    assert once[1, 0].value == pytest.approx(expected)  # the spread of the episodes is the same for both, and gone
    assert once[0, 1].value == pytest.approx(1 - expected)
    assert once[1, 0].low < expected < once[1, 0].high


def test_a_failed_run_counts_with_the_floor_or_with_the_worst_score(made):
    file, folder, workspace = made(failed={("a", 3)})
    found = study_figures(file, folder, workspace)
    assert (found.cells[0].failed, found.cells[0].done, found.failure) == (1, 6, 0)
    assert sorted(found.cells[0].scores["greedy"])[0] == 0
    file, folder, workspace = made(failed={("a", 3)}, text=TEXT.replace("floor = 0\n", ""))
    assert study_figures(file, folder, workspace).failure == 40


def test_fewer_than_five_seeds_have_points_and_no_interval(made):
    file, folder, workspace = made(text=TEXT.replace("0-5", "0-2"))
    found = study_figures(file, folder, workspace)
    assert found.cells[0].iqm.low is None
    assert found.better[0, 1].low is None
    page = report_html(file, found, Conditions())
    assert "Fewer than 5 seeds are shown as points" in page
    assert "<rect" not in page
    assert page.count("<circle") == 6
    assert "<rect" in report_html(*_six(made), Conditions())


def _six(made):
    file, folder, workspace = made()
    return file, study_figures(file, folder, workspace)


def test_the_page_stands_alone_and_whatever_is_in_names_is_only_text(made):
    file, folder, workspace = made(failed={("a", 0)}, waiting={("<b>", 5)})
    page = report_html(file, study_figures(file, folder, workspace), Conditions({"cores": 2}, {"torch": "2"}, 0, TEXT))
    assert "Is &lt;b&gt; better than a?" in page
    assert "<b>" not in re.sub(r"<td style.*?</td>", "", page)
    assert not re.search(r'(src|href)="', page)
    assert "1 failed" in page
    assert "5 of 6" in page
    assert "<li><strong>&lt;b&gt;</strong>: " in page
    assert "<span>CartPole-v1</span>" in page  # what was played, though the file leaves it at the default
    plots = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(plots) == 4
    for plot in plots:
        ElementTree.fromstring(plot)
        assert "nan" not in plot


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.timeout(300)
def test_a_browser_shows_the_page(made, tmp_path):
    file, folder, workspace = made(failed={("a", 0)})
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(report_html(file, study_figures(file, folder, workspace), Conditions()))
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,1600"]
    words += [f"--user-data-dir={tmp_path / 'browser'}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(words, capture_output=True, timeout=280, check=True)
    shown = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert shown.shape[:2] == (1600, 1000)
    blue = (shown[..., 2] > 200) & (shown[..., 0] < 120)  # lines and points of the first cell
    assert blue.sum() > 100
    assert len(np.unique(shown.reshape(-1, shown.shape[-1]), axis=0)) > 50


@pytest.mark.parametrize(("minutes", "texts"), [((0.473, 2.9), ["0.47", "2.90"]), ((0.473, 12.34), ["0.5", "12.3"])])
def test_minutes_have_as_many_decimals_as_those_above_and_below(made, minutes, texts):
    file, figures = _six(made)
    cells = [replace(cell, minutes=value) for cell, value in zip(figures.cells, minutes, strict=True)]
    table = scores_table(file, replace(figures, cells=cells))
    assert table.heads[-1] == "minutes"
    assert [row[-1] for row in table.rows] == texts
    assert scores_table(file, replace(figures, cells=[replace(c, minutes=None) for c in cells])).rows[0][-1] == "–"


def test_two_axes_are_a_table_of_their_own(made):
    text = TEXT.replace("[seeds]", "[vary.ppo]\nlr = [1e-3, 1e-4]\n[seeds]")
    file, folder, workspace = made(text=text)
    page = report_html(file, study_figures(file, folder, workspace), Conditions())
    assert page.count("<td style=") == 4
    file, folder, workspace = made(text=text + '[[leave_out]]\nmemory = "a"\n"ppo.lr" = "0.001"\n')
    figures = study_figures(file, folder, workspace)
    found = matrix(figures)
    assert found.shades[0][1] is None  # what is left out is not like the worst
    assert None not in (found.shades[0][0], *found.shades[1])
    page = report_html(file, figures, Conditions())
    assert page.count("<td style=") == 3
    assert [row[1:] for row in found.rows] == [["44\n6 of 6", ""], ["44\n6 of 6", "44\n6 of 6"]]


def test_frames_of_the_warm_up_count(made):
    file, folder, workspace = made()
    for record in folder.records().values():
        record.trained |= {"frames": 1_700, "frames_before": 700}
        folder.write(record)
    first = study_figures(file, folder, workspace).cells[0]
    assert (first.frames, first.by_frames.x[0], first.by_frames.x[-1]) == (1_700, 900, 1_700)


def test_a_study_without_any_result_has_a_report_too(made):
    everything = {(cell, seed) for cell in ("a", "<b>") for seed in range(6)}
    file, folder, workspace = made(waiting=everything)
    page = report_html(file, study_figures(file, folder, workspace), Conditions())
    assert "0 of 6" in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("there", "now", "line"),
    [
        ("episodes = 4", "episodes = 5", r"judge\.episodes is 5, but run a-seed-0 .* was begun with 4"),
        ("[judge]", '[judge]\nways = ["sampled"]', r"judge\.ways is \['sampled'\]"),
        ("[vary.memory]", "[experiment.ppo]\nlr = 0.5\n[vary.memory]", r"ppo\.lr is 0\.5"),
        ('"LSTMMemory"', '"LSTMMemory", memory.hidden_dim = 7', r"memory\.hidden_dim is 7, .* was begun with \d+"),
        ('"LSTMMemory"', '"NoMemory"', r"memory\.name is NoMemory, but run b-seed-0 .* was begun with LSTMMemory"),
    ],
)
def test_runs_are_not_reported_under_settings_that_they_did_not_have(made, there, now, line):
    file, folder, workspace = made(text=TEXT.replace("<b>", "b"))
    keep_conditions(folder, TEXT)
    write_outcome(file, workspace)
    (folder.path / RESULTS).unlink()
    file.path.write_text(file.path.read_text().replace(there, now))
    with pytest.raises(UserError, match=line):
        write_outcome(read_study(file.path), workspace)
    assert not (folder.path / RESULTS).exists()


def test_a_setting_may_be_said_that_was_so_unsaid_and_one_of_a_later_version_be_missing(made):
    file, folder, workspace = made(text=TEXT.replace("<b>", "b"))
    for key, record in folder.records().items():
        del record.asked["planner.value"], record.asked["judge.moments"]
        record.asked["ppo.gone_since"] = 1
        folder.write(record)
        assert folder.read(key).asked["ppo.gone_since"] == 1
    default = components("memory")["LSTMMemory"].Settings().hidden_dim
    said = f'"LSTMMemory", memory.hidden_dim = {default}'
    file.path.write_text(file.path.read_text().replace('"LSTMMemory"', said))
    assert [cell.done for cell in study_figures(read_study(file.path), folder, workspace).cells] == [6, 6]


def test_what_is_only_drawn_from_the_scores_may_change_and_cells_and_seeds_be_added(made):
    file, folder, workspace = made(text=TEXT.replace('"<b>" =', "b ="))
    file.path.write_text(
        file.path.read_text().replace("target = 100", "target = 200").replace("0-5", "0-6").replace("b =", "c =")
    )
    assert [cell.done for cell in study_figures(read_study(file.path), folder, workspace).cells] == [6, 0]


def test_raw_numbers_have_a_row_for_every_episode_and_for_every_run_without(made):
    file, folder, _ = made(failed={("a", 0)}, waiting={("<b>", 5)})
    rows = [row for record in asked_records(file, folder) for row in rows_of(record)]
    assert len(rows) == 10 * 2 * 4 + 2
    without = [row for row in rows if row["reward"] is None]
    assert [(row["state"], row["memory"], row["seed"]) for row in without] == [
        ("failed", "a", 0),
        ("waiting", "<b>", 5),
    ]


def test_what_was_never_run_has_no_report(tmp_path):
    path = tmp_path / "s.study.toml"
    path.write_text(TEXT)
    with pytest.raises(UserError, match="was never run here"):
        write_outcome(read_study(path), Workspace(tmp_path / "ws"))
