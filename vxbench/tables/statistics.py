"""Computes means over clips with bootstrap intervals, p values and rank correlation."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
MIN_RANKED = 3  # rows; fewer say nothing about a ranking
TIED = 1e-12  # two means are equal where they differ by less than this share of the largest: rounding of sums
DRAWS_AT_ONCE = 4_000_000  # bounds memory to some 64 MB


@dataclass(frozen=True)
class Estimate:
    """mean and its interval [low, high] over n clips; `skipped` more clips had no value (NaN)."""

    mean: float
    low: float
    high: float
    n: int
    skipped: int = 0


def estimate(
    values, weights=None, groups=None, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> Estimate:
    """Mean with the percentile bootstrap interval over clips (Efron 1979). values: (N,), NaN is skipped.

    weights: (N,), what each clip counts. groups: (N,) integers; the mean is then that of the groups' means.
    The resamples are seeded and the clips sorted first, so the answer depends on neither the order of the
    clips nor on other cells. One clip, or equal values, give an interval of no width; no clip gives NaN.
    """
    values = np.asarray(values, dtype=float).ravel()
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=float)
    groups = np.zeros_like(values, dtype=int) if groups is None else np.asarray(groups, dtype=int)
    skipped = int(np.isnan(values).sum())
    kept = [column[~np.isnan(values)] for column in (values, weights, groups)]
    order = np.lexsort(kept[::-1])  # by value, then weight, then group
    values, weights, groups = (column[order, None] for column in kept)
    if len(values) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, skipped)
    if values[0] == values[-1]:
        constant = float(values[0, 0])
        return Estimate(constant, constant, constant, len(values), skipped)
    low, high = percentiles(resampled_means(values, weights, groups, resamples, seed)[:, 0], level)
    return Estimate(float(means(values, weights, groups)[0]), low, high, len(values), skipped)


def percentiles(resampled: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The two-sided percentile interval of (R,) resampled numbers; NaN among them is left out."""
    tail = (1 - level) / 2
    low, high = np.quantile(resampled[~np.isnan(resampled)], [tail, 1 - tail])
    return float(low), float(high)


def means(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(m,) means of the columns of `values`, over all clips; arguments as in `resampled_means`."""
    return _means(np.ones((1, len(values))), values, weights, groups)[0]


def resampled_means(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """(R, m) means of m columns over the same R resamples of n clips: a paired bootstrap.

    values, weights, groups: (n, m), as in `estimate`; a NaN value leaves the clip out of its column's mean. A
    resample that holds no clip of a column has NaN there.
    """
    counts = _counts(len(values), resamples, seed)
    block = max(1, DRAWS_AT_ONCE // len(values))
    starts = range(0, resamples, block)
    return np.concatenate([_means(counts[i : i + block].astype(float), values, weights, groups) for i in starts])


@lru_cache(maxsize=1)
def _counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """(R, n) how often each clip is drawn; the same array for every column with as many clips."""
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, n), np.min_scalar_type(n))
    block = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = generator.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        counts[start : start + size] = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
    return counts


def _means(counts: np.ndarray, values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each row of counts (R, n) the mean over the groups of their weighted means."""
    missing = np.isnan(values)
    weights, values = np.where(missing, 0.0, weights), np.where(missing, 0.0, values)
    total, found = 0.0, 0.0
    for group in np.unique(groups):
        weighted = weights * (groups == group)
        there = weighted.any(axis=1)
        drawn = counts[:, there]
        mass = drawn @ weighted[there]
        total = total + _ratio(drawn @ (weighted * values)[there], mass, empty=0.0)
        found = found + (mass > 0)
    return _ratio(total, found, empty=np.nan)


def shares(weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n, m) what each clip's value counts in the mean of its column: means are sums of shares times values.

    weights, groups: (n, m), as in `estimate`; weights above 0.
    """
    found = np.zeros_like(weights)
    for group in np.unique(groups):
        mine = weights * (groups == group)
        found += _ratio(mine, mine.sum(axis=0), empty=0.0)
    return found / found.sum(axis=0)


def _ratio(above: np.ndarray, below: np.ndarray, empty: float) -> np.ndarray:
    """above / below, `empty` where below is 0."""
    return np.divide(above, below, out=np.full_like(above, empty), where=below > 0)


def kendall_tau(measured, printed) -> float | None:
    """Kendall's tau-b between two columns (Kendall 1945); None below 3 rows or when either is constant."""
    measured, printed = np.asarray(measured, dtype=float), np.asarray(printed, dtype=float)
    if len(measured) < MIN_RANKED or not _orders(measured[None]).any() or not _orders(printed[None]).any():
        return None
    return float(kendall_taus(measured[None], printed)[0])


def kendall_taus(measured: np.ndarray, printed: np.ndarray) -> np.ndarray:
    """(R,) tau-b of each row of `measured` (R, m) with `printed` (m,); 0 where one of them ranks nothing."""
    ours, theirs = _orders(measured), _orders(printed[None])[0]
    ranked = np.sqrt((ours != 0).sum(axis=1) * float((theirs != 0).sum()))
    taus = _ratio(ours @ theirs, ranked, empty=0.0)
    return np.clip(taus, -1, 1)  # rounding of the root


def _orders(columns: np.ndarray) -> np.ndarray:
    """(R, pairs) which of each two of the m entries is larger: 1 the first, -1 the second, 0 tied."""
    first, second = np.triu_indices(columns.shape[1], 1)
    larger = columns[:, first] - columns[:, second]
    larger[np.abs(larger) <= TIED * np.nanmax(np.abs(columns), initial=0.0)] = 0.0
    return np.sign(larger)


def two_sided(resampled: np.ndarray, tied: float = 0.0) -> float:
    """p that a difference is 0: twice the smaller share of (R,) resampled differences on the other side of 0.

    The share counts the sample itself as one of R + 1 resamples (Davison and Hinkley 1997, section 4.4). tied: what
    counts as 0. A bootstrap of few clips is too sure: alone it finds differences where there are none.
    """
    side = min(int((resampled <= tied).sum()), int((resampled >= -tied).sum()))
    return min(1.0, 2 * (1 + side) / (1 + len(resampled)))


def sign_exchange(
    contributions: np.ndarray, tied: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """(m,) p that m paired differences are 0: Fisher's randomisation test (Fisher 1935, chapter III).

    Were two rows alike, their values of a clip could change places, and what the clip adds to the difference its sign.
    p is the share of such exchanges that lead as far from 0 as measured: of all 2^k where these are not more than
    `resamples`, else of so many drawn at random and the sample itself. It holds its level at any number of clips.

    contributions: (n, m), what each clip adds to each difference; 0 where the rows do not differ, k are not 0.
    tied: (m,) sums closer than this are equal.
    """
    least = np.abs(contributions.sum(axis=0)) - tied
    differing = contributions != 0
    drawn = differing.sum(axis=0) > np.log2(resamples)
    p = np.empty(len(least))
    p[drawn] = _share_drawn(contributions[:, drawn], least[drawn], resamples, seed)
    for column in np.flatnonzero(~drawn):
        kept = contributions[differing[:, column], column]
        p[column] = (np.abs(_all_signs(len(kept)) @ kept) >= least[column]).mean()
    return p


def _share_drawn(contributions: np.ndarray, least: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(m,) share of random exchanges, the same for each column, with a sum of at least `least`; the sample is one."""
    generator = np.random.default_rng(seed)
    clips, columns = contributions.shape
    block = max(1, DRAWS_AT_ONCE // clips)
    found = np.ones(columns)
    for start in range(0, resamples if columns else 0, block):
        signs = 2.0 * generator.integers(2, size=(min(block, resamples - start), clips)) - 1
        found += (np.abs(signs @ contributions) >= least).sum(axis=0)
    return found / (1 + resamples)


@lru_cache
def _all_signs(k: int) -> np.ndarray:
    """(2^k, k) every way to sign k numbers."""
    return 1.0 - 2 * (np.arange(2**k)[:, None] >> np.arange(k) & 1)


def least_p(clips: int) -> float:
    """The least p that both tests can give for so many paired clips: all of one sign, every resample on one side."""
    return max(min(1.0, 2.0 ** (1 - clips)), 2 / (1 + RESAMPLES))


def holm(p: np.ndarray) -> np.ndarray:
    """p values corrected for their number: family-wise error by Holm's step-down procedure (Holm 1979)."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
