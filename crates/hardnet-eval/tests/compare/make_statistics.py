"""Writes statistics.json: p-values of McNemar's exact test and Tango's score intervals, for tests/compare.rs.

    pip install scipy==1.16.3 statsmodels==0.14.5 mpmath==1.3.0
    python make_statistics.py

P-values are SciPy's; statsmodels' must agree. Intervals are computed by their definition in 50 digits: the differences
that the score test does not reject, with the likelihood maximized by a search rather than by the closed form. Two of
them must be those that the tests of R's contingencytables 3.0.0 expect (M. Fagerland, S. Lydersen, P. Laake,
"Statistical Analysis of Contingency Tables", 2017).
"""

import json
from importlib.metadata import version
from pathlib import Path

import mpmath
from mpmath import mpf
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

mpmath.mp.dps = 50

# Images that only the first and only the second run gets right.
PAIRS = [
    (0, 0), (1, 0), (1, 1), (2, 0), (5, 0), (6, 1), (8, 2), (3, 17), (10, 10), (16, 15), (17, 40), (31, 69),
    (120, 80), (300, 401), (0, 1000), (1, 1021), (1200, 1100), (2210, 1700), (12_345, 12_890), (100_000, 101_000),
    (1_000_000, 1_004_000), (20_000_000, 20_001_000),
]

# The same, and all images.
TABLES = [
    (0, 0, 1), (1, 0, 1), (0, 0, 40), (1, 0, 44), (0, 1, 44), (16, 6, 161), (7, 1, 21), (20, 40, 160), (3, 5, 8),
    (0, 30, 30), (31, 69, 1000), (500, 500, 1000), (120, 80, 10_000), (2210, 1700, 50_000), (1200, 1195, 50_000),
    (0, 0, 50_000), (3, 0, 1_281_167), (100_000, 101_000, 1_281_167),
]

# By contingencytables: its score interval, to four decimals.
PUBLISHED = {(16, 6, 161): ("-0.1240", "-0.0054")}


def share_lost(lost, gained, n, delta):
    """The most likely share of images that only the first run gets right, if the difference is `delta`.

    Shares: `q`, `q + delta`, and the rest, 1 - 2 q - delta. The likelihood is concave in q, so its derivative has one
    root, or the greatest likelihood is at an end of the range.
    """
    low, high = max(mpf(0), -delta), (1 - delta) / 2
    rest = n - lost - gained

    def slope(q):
        total = mpf(0)
        for count, share, factor in ((lost, q, 1), (gained, q + delta, 1), (rest, 1 - 2 * q - delta, -2)):
            if count:
                total += mpf(count) * factor / share
        return total

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def interval(lost, gained, n):
    z = mpmath.sqrt(2) * mpmath.erfinv(mpf("0.95"))
    observed = mpf(gained - lost) / n

    def rejected(delta):
        variance = n * (2 * share_lost(lost, gained, n, delta) + delta * (1 - delta))
        return (gained - lost - n * delta) ** 2 > z * z * variance

    bounds = []
    for end in (mpf(-1), mpf(1)):
        inside, outside = observed, end
        for _ in range(120):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
        bounds.append(float(inside))
    return bounds


def main():
    p_values = []
    for first, second in PAIRS:
        p_value = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
        if first + second:
            other = mcnemar([[0, first], [second, 0]], exact=True).pvalue
            assert abs(min(other, 1.0) - p_value) <= 1e-9 * p_value, (first, second, p_value, other)
        p_values.append([first, second, float(p_value)])
    intervals = [[*table, *interval(*table)] for table in TABLES]
    for table, published in PUBLISHED.items():
        found = next(row[3:] for row in intervals if tuple(row[:3]) == table)
        assert tuple(f"{bound:.4f}" for bound in found) == published, (table, found)
    versions = {name: version(name) for name in ("scipy", "statsmodels", "mpmath")}
    rows = {"versions": versions, "p_values": p_values, "intervals": intervals}
    body = ",\n".join(
        f'"{name}": ' + (json.dumps(part) if isinstance(part, dict) else "[\n" + ",\n".join(map(json.dumps, part)) + "\n]")
        for name, part in rows.items()
    )
    Path(__file__).with_name("statistics.json").write_text("{\n" + body + "\n}\n")


main()
