"""Settings of evolution."""

from __future__ import annotations

from ewm_studio.settings.declare import Settings, setting


class EvolutionSettings(Settings):
    """CMA-ES of a linear controller, as in World Models (Ha & Schmidhuber 2018)."""

    population: int = setting(64, "Candidates of a generation.", unit="candidates", ge=4, le=100_000, fixed=True)
    episodes: int = setting(
        4, "Episodes that a candidate is judged by; the paper has 16.", unit="episodes", ge=1, le=10_000, fixed=True
    )
    sigma: float = setting(0.1, "How far the first candidates are from the first controller.", gt=0, le=100, fixed=True)
    diagonal: bool = setting(
        False,
        "Learn no correlations between weights: a generation then costs a moment with thousands of weights too.",
        advanced=True,
        fixed=True,
    )
