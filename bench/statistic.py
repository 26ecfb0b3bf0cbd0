"""The few numbers of statistics that the benchmarks need."""

from __future__ import annotations

import math
import statistics


def geomean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def spread(values: list[float]) -> float:
    """Half the distance between the quartiles; of fewer than four values half their range."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 if values else 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return (third - first) / 2


def ratio(rounds: list[list[float]], bare: list[list[float]]) -> dict[str, float]:
    """Of the medians over all values, with the spread of the ratios of single rounds."""
    everything = statistics.median(value for values in rounds for value in values)
    base = statistics.median(value for values in bare for value in values)
    single = [
        statistics.median(a) / statistics.median(b) for a, b in zip(rounds, bare, strict=True)
    ]
    return {"ratio": round(everything / base, 4), "spread": round(spread(single), 4)}


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "spread": spread(values), "least": min(values)}
