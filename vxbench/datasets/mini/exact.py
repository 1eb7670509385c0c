"""Computes with the same bits on every machine, so that the mini data's frames are equal everywhere before encoding.

All is done in integers or in float64 with + - * / and floor, one ufunc at a time, which IEEE 754 fixes to the last bit;
random numbers come from RandomState.randint, whose stream numpy has frozen (NEP 19). Functions that differ by a bit
between CPUs and libraries (sin, exp, sums of floats, resampling by OpenCV) are not used.
"""

import hashlib

import numpy as np


def stream(seed: int, *names) -> np.random.RandomState:
    """The random stream of a thing, seeded by the data's seed and its names; no stream depends on another."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))


def draw(random: np.random.RandomState, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    return int(random.randint(low, high + 1))


def fraction(random: np.random.RandomState) -> float:
    """A number in [0, 1) in steps of 2^-20."""
    return draw(random, 0, 2**20 - 1) / 2**20


def sine(turns: np.ndarray) -> np.ndarray:
    """Approximates sin(2 pi turns) within 0.0017 (Bhaskara I): 16 y / (5 - 4 y), y = 2 x (1 - 2 x), for x in [0, 1/2].

    The quarters of the circle are exact mirror images of one another.
    """
    turns = np.asarray(turns, dtype=np.float64)
    turns = turns - np.floor(turns)
    half = np.where(turns < 0.5, turns, turns - 0.5)
    y = 2 * half * (1 - 2 * half)
    return np.where(turns < 0.5, 1.0, -1.0) * (16 * y / (5 - 4 * y))


def cosine(turns: np.ndarray) -> np.ndarray:
    """Approximates cos(2 pi turns) as `sine` does."""
    return sine(np.asarray(turns, dtype=np.float64) + 0.25)


def nearest(values: np.ndarray) -> np.ndarray:
    """The nearest whole number, halves up."""
    return np.floor(values + 0.5).astype(np.int64)
