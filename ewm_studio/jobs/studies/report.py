"""The report of a study: one HTML file that opens anywhere, with nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ewm_studio.analysis import svg
from ewm_studio.analysis.intervals import LEAST_RUNS, Estimate
from ewm_studio.formatting import count, date, significant
from ewm_studio.jobs.studies.conditions import Conditions
from ewm_studio.jobs.studies.figures import Band, CellFigures, StudyFigures
from ewm_studio.jobs.studies.report_style import STYLE
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace.files import write_text

CURVE_WORDS = {
    "reward/mean_100": "mean of the last 100 training episodes",
    "real/score": "mean of the judgements on the way, greedy and sampled",
}
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
        *_section("Scores", [_scores(file, figures), *_matrix(figures), *_failures(figures)]),
        *_section("Interquartile mean", _intervals(file, figures)),
        *_section("Is it better?", _better(figures)),
        *_section("While it learned", _curves(figures)),
        *_section("How often at least so good", _profiles(figures)),
        *_section("What differs", [_settings(file)]),
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
    words = [
        f"{cells} cells × {seeds} seeds = {cells * seeds} runs",
        f"{done} done" + (f", {failed} of them failed" if failed else ", none failed"),
        f"the same {file.study.judge.episodes} unseen episodes for all",
    ]
    return '<p class="lead">' + "".join(f"<span>{escape(word)}</span>" for word in words) + "</p>"


def _scores(file: StudyFile, figures: StudyFigures) -> str:
    ways, judge = file.study.judge.ways, file.study.judge
    heads = ["", "runs", *(f"{way}, mean" for way in ways), f"IQM, {ways[0]}", f"{judge.level:.0%} interval"]
    if judge.target is not None:
        heads.append("optimality gap")
    heads += ["frames", "minutes"]
    rows = []
    for cell in figures.cells:
        row = [cell.name, f"{cell.done} of {cell.asked}" + (f"\n{cell.failed} failed" if cell.failed else "")]
        row += [significant(float(cell.scores[way].mean())) if cell.done else "–" for way in ways]
        row += [significant(cell.iqm.value) if cell.iqm else "–", _interval(cell.iqm)]
        if judge.target is not None:
            row.append(significant(cell.gap.value) if cell.gap else "–")
        row += [count(cell.frames) if cell.frames else "–", f"{cell.minutes:.1f}" if cell.minutes else "–"]
        rows.append(row)
    return _table(heads, rows)


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None:
        return "–"
    return f"{significant(found.low)} to {significant(found.high)}"


def _matrix(figures: StudyFigures) -> list[str]:
    """Two axes as a table of their own: the middle of each cell, the stronger the better."""
    axes = list(figures.cells[0].options)
    if len(axes) != 2:
        return []
    rows, columns = ([*dict.fromkeys(cell.options[axis] for cell in figures.cells)] for axis in axes)
    by_options = {tuple(cell.options.values()): cell for cell in figures.cells}
    values = [cell.iqm.value for cell in figures.cells if cell.iqm]
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    lines = [f"<tr><th></th>{''.join(f'<th>{escape(column)}</th>' for column in columns)}</tr>"]
    for row in rows:
        boxes = []
        for column in columns:
            cell = by_options[(row, column)]
            share = (cell.iqm.value - low) / span if cell.iqm and span else 0.0
            middle = significant(cell.iqm.value) if cell.iqm else "–"
            boxes.append(
                f'<td style="background:rgba(59,130,246,{0.08 + 0.5 * share:.2f})"><b>{middle}</b>'
                f"<small>{cell.done} of {cell.asked}</small></td>"
            )
        lines.append(f"<tr><th>{escape(row)}</th>{''.join(boxes)}</tr>")
    return [f'<div class="wide"><table class="matrix">{"".join(lines)}</table></div>']


def _failures(figures: StudyFigures) -> list[str]:
    if figures.failure is None:
        return []
    return [f"<p>A failed run is kept in the count with the score {significant(figures.failure)}.</p>"]


def _intervals(file: StudyFile, figures: StudyFigures) -> list[str]:
    way, judge = file.study.judge.ways[0], file.study.judge
    bars = [_bar(cell, way) for cell in figures.cells if cell.done]
    if not bars:
        return []
    limits = [value for value in (judge.floor, judge.target) if value is not None]
    plot = svg.intervals_plot(bars, f"mean reward, {way}; points are runs", "Scores of all runs", limits)
    few = [cell.name for cell in figures.cells if 0 < cell.done < LEAST_RUNS]
    said = (
        f"<p>Fewer than {LEAST_RUNS} seeds are shown as points: an interval of so few says little.</p>" if few else ""
    )
    return [plot, said]


def _bar(cell: CellFigures, way: str) -> svg.Bar:
    found = cell.iqm
    assert found is not None
    return svg.Bar(cell.name, cell.scores[way].tolist(), found.value, found.low, found.high)


def _better(figures: StudyFigures) -> list[str]:
    if not figures.better:
        return []
    names = [cell.name for cell in figures.cells]
    rows = []
    for i, name in enumerate(names):
        row = [name]
        for j in range(len(names)):
            found = figures.better.get((i, j))
            interval = f"\n{found.low:.2f} to {found.high:.2f}" if found and found.low is not None else ""
            row.append(f"{found.value:.2f}{interval}" if found else "")
        rows.append(row)
    words = (
        "<p>The probability that a run of the row beats one of the column at the same episode; a draw counts half.</p>"
    )
    return [words, _table(["", *names], rows)]


def _curves(figures: StudyFigures) -> list[str]:
    parts = []
    for title, attribute in (("frames", "by_frames"), ("minutes", "by_minutes")):
        series = [_series(cell, getattr(cell, attribute)) for cell in figures.cells if getattr(cell, attribute)]
        if series:
            parts.append(f"<figure>{svg.lines_plot(series, title, f'Score by {title}')}</figure>")
    if not parts:
        return []
    drawn = [cell.name for cell in figures.cells if cell.by_frames]
    what = CURVE_WORDS.get(figures.curve, figures.curve)
    return [
        f'<div class="two">{"".join(parts)}</div>',
        svg.key(drawn),
        f"<p>Interquartile mean of the seeds; {escape(what)}.</p>",
    ]


def _series(cell: CellFigures, found: Band) -> svg.Series:
    return svg.Series(cell.name, found.x, found.middle, found.low, found.high, found.each)


def _profiles(figures: StudyFigures) -> list[str]:
    series = [_series(cell, cell.profile) for cell in figures.cells if cell.profile]
    if not series:
        return []
    plot = svg.lines_plot(series, "reward", "Share of the episodes above a reward")
    return [
        f"<figure>{plot}</figure>",
        svg.key([s.name for s in series]),
        "<p>Share of all episodes above each reward.</p>",
    ]


def _settings(file: StudyFile) -> str:
    paths = [*dict.fromkeys(f"{s}.{f}" for cell in file.cells for s, group in cell.values.items() for f in group)]
    if not paths:
        return ""
    rows = []
    for plan in file.plans(file.study.seeds.reported[:1]):
        values = plan.experiment.model_dump(mode="json")
        rows.append([plan.cell.name, *(_at(values, path) for path in paths)])
    return _table(["", *paths], rows)


def _at(values: dict[str, Any], path: str) -> str:
    section, _, name = path.partition(".")
    found = values[section].get(name)
    return "default" if found is None else str(found)


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


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts; what follows a line's end stands small below."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    lines = []
    for first, *rest in rows:
        lines.append(f"<tr><th>{escape(first)}</th>{''.join(map(_box, rest))}</tr>")
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _box(text: str) -> str:
    main, _, below = text.partition("\n")
    return f"<td>{escape(main)}{f'<small>{escape(below)}</small>' if below else ''}</td>"
