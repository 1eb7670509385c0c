"""Explainers that fail. In a module of their own, so that a new process can import them."""

import os
from pathlib import Path

import torch

from vxbench.explainers import Gradients
from vxbench.runner.batch import generator_of

KERNEL = (
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other call"
)
poisoned = False  # whether the device is lost to this process


class Failing(Gradients):
    """Gradients that raise an error in every batch with one of the clips.

    clips: their ids, in a run of seed 0. error: made anew with these words each time. unless: a file with which nothing
    fails; it is made at the first failure if `once`.
    """

    def __init__(self, clips=(), error=RuntimeError, words="no luck", unless=None, once=False, **settings):
        super().__init__(**settings)
        self.seeds = {generator_of(0, clip).initial_seed() for clip in clips}
        self.error, self.words, self.unless, self.once = error, words, unless and Path(unless), once

    def explain(self, classifier, clip, target, context):
        guilty = any(generator.initial_seed() in self.seeds for generator in context.generators)
        if guilty and not (self.unless and self.unless.exists()):
            self.fail()
        return super().explain(classifier, clip, target, context)

    def fail(self):
        if self.once:
            self.unless.write_text("failed")
        raise self.error(self.words)


class LosingDevice(Failing):
    """The same with a device that, once lost, answers nothing more in this process."""

    def __init__(self, home=None, **settings):
        super().__init__(words=KERNEL, **settings)
        self.home = home  # id of the only process that can lose it

    def explain(self, classifier, clip, target, context):
        if poisoned:
            raise RuntimeError(KERNEL)
        return super().explain(classifier, clip, target, context)

    def fail(self):
        global poisoned
        if self.home in (None, os.getpid()):
            poisoned = True
            super().fail()


class Hungry(Gradients):
    """Gradients that fail as torch does on the CPU, or with another error, for more clips than there is room for."""

    def __init__(self, room, error=None):
        super().__init__()
        self.room, self.error = room, error

    def explain(self, classifier, clip, target, context):
        if len(clip) > self.room:
            if self.error is None:
                torch.empty(10**15)
            raise type(self.error)(*self.error.args)
        return super().explain(classifier, clip, target, context)
