"""The report of a study: one HTML file that opens anywhere, with nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ewm_studio.analysis import svg
from ewm_studio.analysis.intervals import LEAST_RUNS
from ewm_studio.formatting import count, date, significant
from ewm_studio.jobs.studies.conditions import Conditions
from ewm_studio.jobs.studies.figures import StudyFigures
from ewm_studio.jobs.studies.report_style import STYLE
from ewm_studio.jobs.studies.tables import (
    BETTER,
    CURVE_WORDS,
    PROFILES,
    Curve,
    Table,
    bars,
    better_table,
    lines,
    matrix,
    options_of,
    scores_table,
)
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace.files import write_text

FEW = f"Fewer than {LEAST_RUNS} seeds are shown as points: an interval of so few says little."
# By `tests/benchmarks/coverage.py --studies 600 --resamples 300`: how often nominal 95% of the IQM held the true value.
HELD = {5: "89 to 90%", 10: "93 to 94%", 20: "92 to 94%"}


def write_report(file: StudyFile, figures: StudyFigures, conditions: Conditions, path: Path) -> Path:
    """Write the report; gives its path.

    Raises:
        UserError or JobError: it cannot be written.
    """
    write_text(path, report_html(file, figures, conditions))
    return path


def report_html(file: StudyFile, figures: StudyFigures, conditions: Conditions) -> str:
    """The report as a page."""
    title = file.study.title or file.name
    body = [
        f"<h1>{escape(title)}</h1>",
        _lead(file, figures),
        *_section("Scores", [_table(scores_table(file, figures)), *_matrix(figures), *_failures(figures)]),
        *_section("Interquartile mean", _intervals(file, figures)),
        *_section("Is it better?", _better(figures)),
        *_section("While it learned", _curves(figures)),
        *_section("How often at least so good", _profiles(figures)),
        *_section("What varies", _options(file)),
        *_section("How it was done", _method(file, figures)),
        *_section("Repeat it", _repeat(file, conditions)),
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _section(title: str, inside: Sequence[str]) -> list[str]:
    return [f"<section>\n<h2>{escape(title)}</h2>", *inside, "</section>"] if any(inside) else []


def _lead(file: StudyFile, figures: StudyFigures) -> str:
    cells, seeds = len(file.cells), len(file.study.seeds.reported)
    done, failed = sum(c.done for c in figures.cells), sum(c.failed for c in figures.cells)
    played = dict.fromkeys(plan.experiment.env.id for plan in file.plans(file.study.seeds.reported[:1]))
    words = [
        ", ".join(played),
        f"{cells} cells × {seeds} seeds = {cells * seeds} runs",
        f"{done} done" + (f", {failed} of them failed" if failed else ", none failed"),
        f"the same {file.study.judge.episodes} unseen episodes for all",
    ]
    return '<p class="lead">' + "".join(f"<span>{escape(word)}</span>" for word in words) + "</p>"


def _failures(figures: StudyFigures) -> list[str]:
    if figures.failure is None:
        return []
    return [f"<p>A failed run is kept in the count with the score {significant(figures.failure)}.</p>"]


def _matrix(figures: StudyFigures) -> list[str]:
    found = matrix(figures)
    if found is None or found.shades is None:
        return []
    lines = [f"<tr><th></th>{''.join(f'<th>{escape(column)}</th>' for column in found.heads[1:])}</tr>"]
    for (row, *texts), shades in zip(found.rows, found.shades, strict=True):
        boxes = []
        for text, shade in zip(texts, shades, strict=True):
            middle, _, runs = text.partition("\n")
            ground = "" if shade is None else f' style="background:rgba(59,130,246,{0.08 + 0.5 * shade:.2f})"'
            boxes.append(f"<td{ground}><b>{middle}</b><small>{runs}</small></td>")
        lines.append(f"<tr><th>{escape(row)}</th>{''.join(boxes)}</tr>")
    return [f'<div class="wide"><table class="matrix">{"".join(lines)}</table></div>']


def _intervals(file: StudyFile, figures: StudyFigures) -> list[str]:
    way, judge = file.study.judge.ways[0], file.study.judge
    drawn = bars(figures, way)
    if not drawn:
        return []
    limits = [value for value in (judge.floor, judge.target) if value is not None]
    plot = svg.intervals_plot(drawn, f"mean reward, {way}; points are runs", "Scores of all runs", limits)
    few = any(0 < cell.done < LEAST_RUNS for cell in figures.cells)
    return [plot, f"<p>{FEW}</p>" if few else ""]


def _better(figures: StudyFigures) -> list[str]:
    found = better_table(figures)
    return [] if found is None else [f"<p>{BETTER}</p>", _table(found)]


def _curves(figures: StudyFigures) -> list[str]:
    axes: tuple[tuple[str, Curve], ...] = (("frames", "by_frames"), ("minutes", "by_minutes"))
    plots = [(title, lines(figures, curve)) for title, curve in axes]
    parts = [f"<figure>{svg.lines_plot(s, title, f'Score by {title}', svg.HALF)}</figure>" for title, s in plots if s]
    if not parts:
        return []
    what = CURVE_WORDS.get(figures.curve, figures.curve)
    return [
        f'<div class="two">{"".join(parts)}</div>',
        svg.key(plots[0][1]),
        f"<p>Interquartile mean of the seeds; {escape(what)}.</p>",
    ]


def _profiles(figures: StudyFigures) -> list[str]:
    series = lines(figures, "profile")
    if not series:
        return []
    plot = svg.lines_plot(series, "reward", "Share of the episodes above a reward")
    return [f"<figure>{plot}</figure>", svg.key(series), f"<p>{PROFILES}</p>"]


def _options(file: StudyFile) -> list[str]:
    parts = []
    for axis, options in options_of(file).items():
        lines = (
            f"<li><strong>{escape(name)}</strong>: {escape(' · '.join(settings))}</li>"
            for name, settings in options.items()
        )
        parts.append(f"<h3>{escape(axis)}</h3><ul>{''.join(lines)}</ul>")
    return parts


def _method(file: StudyFile, figures: StudyFigures) -> list[str]:
    study, judge = file.study, file.study.judge
    budget = [f"{count(study.budget.frames)} frames"] if study.budget.frames else []
    budget += [f"{study.budget.minutes:g} minutes"] if study.budget.minutes else []
    last = judge.seed + judge.episodes - 1
    threads = "one thread" if study.place.threads == 1 else f"{study.place.threads} threads"
    model = "as learning ended" if judge.model == "last" else "the checkpoint with the best training score"
    lines = [
        f"Every run learned for {' or '.join(budget)}, on {threads}."
        if budget
        else "Every run learned as long as its base says.",
        f"Each model ({model}) played the same {judge.episodes} episodes, seeds {judge.seed} to {last}, which no run "
        f"had learned from: {' and '.join(judge.ways)}; what is compared is {judge.ways[0]}. Rewards are unshaped.",
        f"Seeds reported: {_seeds(study.seeds.reported)}.",
    ]
    if any(cell.done >= LEAST_RUNS for cell in figures.cells):
        held = "; ".join(f"{n} seeds: {share}" for n, share in HELD.items())
        lines.append(
            f"Intervals: percentile bootstrap over whole runs, {count(judge.resamples)} samples. By simulation, "
            f"nominal 95% intervals of such few runs hold the true value less often ({held}): "
            "take them as a little too narrow."
        )
    return [f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"]


def _seeds(seeds: list[int]) -> str:
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _repeat(file: StudyFile, conditions: Conditions) -> list[str]:
    facts = [f"{name}: {value}" for name, value in conditions.machine.items()]
    versions = ", ".join(f"{name} {version}" for name, version in conditions.versions.items())
    shown = [
        f"ewm-studio study run {file.path.name}",
        f"ewm-studio study report {file.path.name}",
    ]
    return [
        f"<pre>{escape(chr(10).join(shown))}</pre>",
        f"<p>{escape(file.path.name)}:</p><pre>{escape(conditions.text)}</pre>",
        f"<p>{escape('; '.join(facts))}. {escape(versions)}. Run from {escape(date(conditions.began))} on.</p>",
        "<p>Raw numbers, a row an episode: <code>results.csv</code> beside this file.</p>",
    ]


def _table(table: Table) -> str:
    top = "".join(f"<th>{escape(head).replace(' + ', ' +<br>')}</th>" for head in table.heads)
    lines = []
    for first, *rest in table.rows:
        lines.append(f"<tr><th>{escape(first)}</th>{''.join(map(_box, rest))}</tr>")
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _box(text: str) -> str:
    main, _, below = text.partition("\n")
    return f"<td>{escape(main)}{f'<small>{escape(below)}</small>' if below else ''}</td>"
