"""A small data set of our own: taxi trips, with what real data has: missing values, rare categories, skewed numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("city", "hour", "miles", "fare", "company", "tipped")


def rows(count: int = 2000, *, seed: int = 7) -> list[dict[str, Any]]:
    """``count`` trips; ``tipped`` depends on hour and miles, so that a model can learn something."""
    random = np.random.default_rng(seed)
    trips = []
    for number in range(count):
        hour, miles = int(random.integers(0, 24)), round(float(random.exponential(4)) + 0.1, 3)
        chance = 1 / (1 + np.exp(-(0.5 * (miles - 4) + (1.5 if hour > 17 else -0.5))))
        trips.append(
            {
                "city": random.choice(["Graz", "Linz", "Wien"], p=[0.2, 0.2, 0.6]),
                "hour": hour,
                "miles": miles,
                "fare": "" if random.random() < 0.05 else round(3 + 2.1 * miles, 2),
                "company": "" if random.random() < 0.3 else f"Company {int(random.zipf(1.5)) % 20}",
                "tipped": int(random.random() < chance),
            }
        )
        trips[-1]["number"] = number
    return [{c: t[c] for c in COLUMNS} for t in trips]


def write(path: Path, trips: list[dict[str, Any]]) -> Path:
    """``trips`` as a CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(trips[0]))
        writer.writeheader()
        writer.writerows(trips)
    return path
