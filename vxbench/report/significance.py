"""Whether differences between paired rows are more than chance: two tests, and their correction for many pairs."""

from functools import lru_cache

import numpy as np

from vxbench.report.statistics import DRAWS_AT_ONCE, RESAMPLES, SEED


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
