"""Stands in for wandb: keeps what it is told, in `runs` and, if FAKE_WANDB names a file, as lines of JSON.

FAKE_WANDB_DOWN: `init` raises, as it does for a server that does not answer.
"""

import json
import os

runs = []


class Settings(dict):
    """Any settings."""


class Video:
    """A film."""

    def __init__(self, film, caption, format):
        self.film, self.caption, self.format = film.getvalue(), caption, format


class Table:
    """A table."""

    def __init__(self, columns, data):
        self.columns, self.data = columns, data


class Run:
    """A run: what it began with, each point, its summary, and whether it ended."""

    def __init__(self, **given):
        self.given, self.points, self.summary, self.ended = given, [], {}, False

    def log(self, values):
        self.points.append(values)

    def finish(self):
        self.ended = True


def init(**given):
    if path := os.environ.get("FAKE_WANDB"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"id": given["id"], "mode": given["mode"]}) + "\n")
    if "FAKE_WANDB_DOWN" in os.environ:
        raise ConnectionError("Run initialization has timed out after 3.0 sec. Please try something else.")
    runs.append(Run(**given))
    return runs[-1]
