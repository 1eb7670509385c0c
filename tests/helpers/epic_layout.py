"""A small folder laid out as EPIC-KITCHENS-55, written by the tests."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import cv2

ACTION_COLUMNS = ("uid", "participant_id", "video_id", "narration", "start_frame", "stop_frame", "verb", "verb_class",
                  "noun", "noun_class")  # fmt: skip
OBJECT_COLUMNS = ("noun_class", "noun", "participant_id", "video_id", "frame", "bounding_boxes")
VIDEO_COLUMNS = ("video", "resolution", "duration", "fps")
NOUNS = {"tap": 3, "plate": 4, "knife": 5}
OWN_RATE = 60000 / 1001  # of most of its videos


@dataclass
class Layout:
    """What the tables say; `write` writes them. Frames are as in the tables: from 1, by their own clocks."""

    root: Path
    videos: list[tuple] = field(default_factory=list)
    actions: list[tuple] = field(default_factory=list)
    objects: list[tuple] = field(default_factory=list)

    @property
    def folder(self):
        return self.root / "epic55"

    def video(self, name, size=(320, 240), seconds=60.0, fps=OWN_RATE):
        self.videos.append((name, "{}x{}".format(*size), seconds, fps))

    def action(self, uid, video, start, stop, verb="open", noun="tap"):
        row = (uid, video[:3], video, f"{verb} {noun}", start, stop, verb, 0, noun, NOUNS[noun])
        self.actions.append(row)

    def object(self, video, frame, boxes, noun="tap"):
        self.objects.append((NOUNS[noun], noun, video[:3], video, frame, str(boxes)))

    def write(self):
        tables = self.folder / "annotations"
        write_csv(tables / "EPIC_train_action_labels.csv", ACTION_COLUMNS, self.actions)
        write_csv(tables / "EPIC_train_object_labels.csv", OBJECT_COLUMNS, self.objects)
        write_csv(tables / "EPIC_video_info.csv", VIDEO_COLUMNS, self.videos)
        nouns = [(number, name, str([name, f"{name}:old"])) for name, number in NOUNS.items()]
        write_csv(tables / "EPIC_noun_classes.csv", ("noun_id", "class_key", "nouns"), nouns)
        (self.folder / "videos/train").mkdir(parents=True, exist_ok=True)
        return self.root

    def lists(self, names, segments, classes, columns, word):
        """The authors' list of segments, rows of `columns`, and that of classes."""
        write_csv(self.folder / "step_lists" / names[0], columns, segments)
        rows = [(name, label, 100) for label, name in enumerate(classes)]
        write_csv(self.folder / "step_lists" / names[1], (word, f"{word}_label", "num"), rows)

    def jpegs(self, video, frames, image):
        """Official JPEGs of these frames, from 1; image(frame from 0) makes each."""
        folder = self.folder / "frames_rgb_flow/rgb/train" / video[:3] / video
        folder.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            cv2.imwrite(str(folder / f"frame_{frame:010d}.jpg"), image(frame - 1))

    def mp4(self, video, count, make_video):
        folder = self.folder / "videos/train" / video[:3]
        folder.mkdir(parents=True, exist_ok=True)
        make_video(folder / f"{video}.MP4", count)


def write_csv(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def by_uid(dataset):
    """The clips of a data set by the number of their segment."""
    return {int(ref.id.rsplit("_", 1)[1]): ref for ref in dataset.clips}
