"""One video of the mini EPIC-KITCHENS: segments with background between and around them.

In a segment a hand makes the motion of the verb in one half of the picture, and the target, whose look is the noun,
drifts in the other half; it may come late or leave early. Nouns and verbs are dealt independently. Between the
segments there are neither hands nor targets, only the drifting distractors that are there all the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vxbench.datasets.mini import appearance, stage
from vxbench.datasets.mini.epic_looks import fist, noun_sprite
from vxbench.datasets.mini.exact import draw, nearest, stream
from vxbench.datasets.mini.strokes import STROKES, between, coordinates

# verb -> its motion, see `strokes`
VERBS = {
    "pull": "left",
    "push": "right",
    "lift": "up",
    "lower": "down",
    "reach": "growing",
    "withdraw": "shrinking",
}
SHORTEST, LONGEST = 55, 109  # frames of a segment, both odd, see `motion`
FREE = (3, 2)  # free frames behind a segment, as a fraction of its length; before the first one as well
REACH = 32  # pixels that the hand goes to either side
HAND = (11, 20)  # pixels, half size
TARGET = (15, 20)  # pixels, half size
DRIFT = 8  # pixels that the target moves at most
MARGIN = 2  # pixels between things and the border of their half


@dataclass(frozen=True)
class Segment:
    """Frames start <= t < stop (0-based) with one action; number counts within its video."""

    number: int
    noun: str
    verb: str
    start: int
    stop: int


@dataclass
class Scene:
    """What a video of n frames shows, (height, width) = size. windows: (n, 2) left, top of what is seen of the texture.

    hands, targets: of each segment.
    """

    size: tuple[int, int]
    texture: np.ndarray
    windows: np.ndarray
    distractors: list[stage.Player]
    segments: list[Segment]
    hands: list[stage.Player]
    targets: list[stage.Player]

    def __len__(self) -> int:
        return len(self.windows)

    def frame(self, t: int) -> np.ndarray:
        """(height, width) uint32, see `appearance`."""
        left, top = self.windows[t]
        frame = self.texture[top : top + self.size[0], left : left + self.size[1]].copy()
        for player in (*self.distractors, *self.hands, *self.targets):
            player.paint(frame, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, video: str, size: tuple[int, int], actions: tuple[tuple[str, str], ...]) -> Scene:
    """A video with these actions (noun, verb), in this order."""
    random = stream(seed, "epic55", video)
    segments, n = _segments(random, actions)
    casts = [_cast(stream(seed, "epic55", video, segment.number), segment, size) for segment in segments]
    hands, targets = zip(*casts, strict=True)
    windows = stage.drift(random, (0, 0), _spare(size), n, 1600, 800)
    distractors = [_distractor(random, size, n) for _ in range(2)]
    return Scene(size, appearance.background(random), windows, distractors, segments, list(hands), list(targets))


def _segments(random, actions: tuple[tuple[str, str], ...]) -> tuple[list[Segment], int]:
    """The segments and the length of the video."""
    lengths = [SHORTEST + 2 * draw(random, 0, (LONGEST - SHORTEST) // 2) for _ in actions]
    t, segments = _free(random, lengths[0]), []
    for i, ((noun, verb), n) in enumerate(zip(actions, lengths, strict=True)):
        segments.append(Segment(i, noun, verb, t, t + n))
        t += n + _free(random, n)
    return segments, t


def _free(random, n: int) -> int:
    return -(-n * FREE[0] // FREE[1]) + draw(random, 1, 20)


def _spare(size: tuple[int, int]) -> tuple[int, int]:
    """How far the window may go on the background, x and y."""
    return appearance.TEXTURE[1] - size[1], appearance.TEXTURE[0] - size[0]


def _cast(random, segment: Segment, size: tuple[int, int]) -> tuple[stage.Player, stage.Player]:
    """Hand and target of a segment, each in its half of the picture."""
    height, half = size[0], size[1] // 2
    left = draw(random, 0, 1) * half
    hand = _hand(random, segment, (left, left + half), height)
    return hand, _target(random, segment, (half - left, 2 * half - left), height)


def _hand(random, segment: Segment, columns: tuple[int, int], height: int) -> stage.Player:
    n, reach = segment.stop - segment.start, REACH + HAND[1] + MARGIN
    at = coordinates(random, [STROKES[VERBS[segment.verb]]], n)
    look = _skin(random)
    halves = nearest(between(*HAND, at["size"])).tolist()
    drawn = {half: fist(look, half) for half in set(halves)}
    middle = draw(random, columns[0] + reach, columns[1] - 1 - reach), draw(random, reach, height - 1 - reach)
    centres = [middle[i] + between(-REACH, REACH, at[x]) for i, x in enumerate("xy")]
    sprites = [drawn[half] for half in halves]
    return stage.Player.at(sprites, nearest(np.stack(centres, axis=1)), segment.start)


def _skin(random) -> np.ndarray:
    tone = draw(random, 0, 60)
    return np.array([240 - tone, 185 - tone, 150 - tone])


def _target(random, segment: Segment, columns: tuple[int, int], height: int) -> stage.Player:
    """Drifts by a few pixels a segment, seen in `_presence` of it."""
    n = segment.stop - segment.start
    first, last = _presence(random, n)
    half = draw(random, *TARGET)
    clear = half + MARGIN + DRIFT
    x, y = draw(random, columns[0] + clear, columns[1] - 1 - clear), draw(random, clear, height - 1 - clear)
    path = stage.drift(random, (x - DRIFT, y - DRIFT), (x + DRIFT, y + DRIFT), n, 400, 200)
    sprites = [noun_sprite(random, segment.noun, half)] * (last - first)
    return stage.Player.at(sprites, path[first:last], segment.start + first)


def _presence(random, n: int) -> tuple[int, int]:
    """From when to when a target is there: half of them always, else two fifths of the segment at most is missed.

    Of the shortest segment that leaves 33 frames: at least one in 30 is a labelled one.
    """
    missed = draw(random, n // 5, 2 * n // 5)
    return ((0, n), (0, n), (missed, n), (0, n - missed))[draw(random, 0, 3)]


def _distractor(random, size: tuple[int, int], n: int) -> stage.Player:
    """Blue, see `appearance.distractor`, drifting all over the picture."""
    sprite = appearance.distractor(random)
    reach = len(sprite[1]) // 2 + 1
    centres = stage.drift(random, (reach, reach), (size[1] - 1 - reach, size[0] - 1 - reach), n, 900, 300)
    return stage.Player.at([sprite] * n, centres)
