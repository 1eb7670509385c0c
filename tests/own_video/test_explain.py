"""scripts/explain.py from a video to its files, and one line for everything that is wrong with what it is given."""

import json
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.paths import ROOT
from PIL import Image

from vxbench.commands.explain import composed, main
from vxbench.config import compose
from vxbench.errors import UserError
from vxbench.figures.drawing.video import pixel_aspect, write_video
from vxbench.own_video.explain import index_of
from vxbench.own_video.output import FILES

pytestmark = pytest.mark.slow

CLASSES = ["Biking", "PoleVault", "Basketball", "playing guitar (indoors)"]


@pytest.fixture
def world(mini_data, tmp_path, monkeypatch):
    """Mini data, results of its own, and a folder to be in."""
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    monkeypatch.setenv("VXBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip(mini_data):
    """A mini clip of the test split, as if it were a user's video."""
    return mini_data / "ucf101/videos/ClockwiseFromWest/v_ClockwiseFromWest_g01_c01.avi"


def made(world):
    [folder] = (world / "results/explained").iterdir()
    return folder


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_video_is_explained_from_end_to_end(world, clip, capsys):
    """Also: the map is the one that a cell computes of the same clip."""
    assert main([f"video={clip}", "explainer=gradcam", "model=tsm"]) == 0
    folder = made(world)
    assert folder.name.startswith("v_ClockwiseFromWest_g01_c01-tsm-gradcam-")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    source, drawn = frames_of(clip), frames_of(folder / "overlay.mp4")
    assert len(drawn) == len(source)
    assert drawn[0].shape == source[0].shape
    check_panels(frames_of(folder / "kept.mp4"))
    with Image.open(folder / "summary.png") as picture:
        assert min(picture.size) > 400
    result, out = json.loads((folder / "result.json").read_text()), capsys.readouterr().out
    assert out.startswith(f"{clip.name}: TSM with the classes of ucf101_24, gradcam; class explained: ")
    check_result(result, out)
    with np.load(folder / "map.npz") as file:
        check_map(file, result, len(source), clip)


def check_panels(pictures):
    """256 pixels a panel below a band of 28, 8 between. No two are alike: by more than coding's 1 or 2 of 255."""
    assert len(pictures) == 8
    original, kept, deleted = (np.stack(pictures)[:, 28:, left : left + 256].astype(int) for left in (0, 264, 528))
    assert np.abs(kept - deleted).mean() > 5
    near = [np.abs(shown - original).mean() for shown in (kept, deleted)]
    assert min(near) > 1


def check_result(result, out):
    p, lost = result["p"], result["points_lost"]
    for name in ("whole", "kept", "deleted"):
        listed = result["top"][name]
        assert [one["p"] for one in listed] == sorted((one["p"] for one in listed), reverse=True)
        assert len(listed) == 5
        assert all(f"{one['class']} {one['p']:.3f}" in out for one in listed)
    assert result["top"]["whole"][0] | {"p": 0} == {
        "class": result["target"]["name"],
        "index": result["target"]["index"],
        "p": 0,
    }
    assert p["whole"] == result["top"]["whole"][0]["p"]
    assert lost == {name: pytest.approx(100 * max(0, p["whole"] - p[name])) for name in ("kept", "deleted")}
    assert result["overlay"]["codec"] == "libx264"


def check_map(file, result, total, clip):
    from vxbench.runner.assemble import Assembled
    from vxbench.runner.one_clip import explain_clip, open_clip, probabilities_of_kept

    indices = (2 * np.arange(8) + 1) * total // 16
    np.testing.assert_array_equal(file["indices"], indices)
    np.testing.assert_allclose(file["seconds"], indices / 25)
    np.testing.assert_array_equal(file["box"], [0, 0, 320, 240])
    assert (str(file["target_name"]), int(file["target"])) == tuple(result["target"][key] for key in ("name", "index"))
    assert result["area"]["mean"] == pytest.approx(float(file["saliency"].mean()))
    config = compose(["explainer=gradcam", "model=tsm", "target=predicted", "dataset.per_class=null"])
    one = open_clip(Assembled(config), f"{clip.parent.name}/{clip.stem}")
    np.testing.assert_array_equal(file["saliency"], explain_clip(one, Assembled(config).explainer))
    target = int(one.target)
    assert result["p"]["kept"] == pytest.approx(float(probabilities_of_kept(one, file["saliency"])[target]))
    assert result["p"]["deleted"] == pytest.approx(float(probabilities_of_kept(one, 1 - file["saliency"])[target]))


def test_the_same_settings_replace_the_files_and_others_do_not(world, clip):
    words = [f"video={clip}", "explainer=centre"]
    assert main(words) == 0
    folder = made(world)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npz", ".png")}
    for path in folder.iterdir():
        path.write_bytes(b"older")
    assert main([*words, "runner.chunk=3"]) == 0
    assert {name: (made(world) / name).read_bytes() for name in before} == before
    assert main([*words, "start=0.5"]) == 0
    assert len(list((world / "results/explained").iterdir())) == 2


def test_a_part_of_a_video_for_a_class_by_name_of_a_file_with_any_name(world, clip, capsys):
    name = "my, video (1)=x'.avi"
    (world / name).write_bytes(clip.read_bytes())
    words = [f"video={name}", "explainer=centre", "target=counterclockwisefromnorth", "start=0.2", "length=0.2"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "class explained: CounterclockwiseFromNorth (" in printed.out
    assert printed.err == "note: 5 frames for a model of 8: it sees some more than once\n"
    result = json.loads((made(world) / "result.json").read_text())
    assert result["target"]["name"] == "CounterclockwiseFromNorth"
    assert result["overlay"]["frames"] == 5
    assert (min(result["frames"]["indices"]), max(result["frames"]["indices"])) == (5, 9)
    assert len(frames_of(made(world) / "overlay.mp4")) == 5


def test_the_overlay_has_pixels_of_the_shape_of_the_videos(world):
    source = [(index / 25, np.full((48, 64, 3), 20 * index, np.uint8)) for index in range(10)]
    write_video(world / "dvd.mp4", source, Fraction(25), Fraction(16, 11))
    assert main(["video=dvd.mp4", "explainer=centre"]) == 0
    assert pixel_aspect(made(world) / "overlay.mp4") == Fraction(16, 11)


def test_methods_that_iterate_tell_where_they_are(world, clip, capsys, monkeypatch):
    monkeypatch.setattr("vxbench.own_video.explain.LINE_SECONDS", 0)
    assert main([f"video={clip}", "explainer=fep", "explainer.iterations=3"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["fep: 1/3 iterations", "fep: 2/3 iterations"]


@pytest.mark.parametrize("name", ["12:30:05.avi", "-x.avi", "concat:a|b.avi", "http:x.avi"])
def test_what_ffmpeg_would_take_for_a_protocol_or_an_option_is_a_file(name, world, clip):
    (world / name).write_bytes(clip.read_bytes())
    assert main([f"video={name}", "explainer=centre"]) == 0
    assert len(frames_of(made(world).absolute() / "overlay.mp4")) == len(frames_of(clip))


def test_an_address_is_said_not_to_be_read(world, capsys):
    assert main(["video=https://example.org/a.mp4", "explainer=centre"]) == 1
    assert capsys.readouterr().err.startswith("error: video = https://example.org/a.mp4 is an address, which is not ")


def test_without_the_data_classes_have_numbers(world, clip, capsys, monkeypatch):
    (world / "a.avi").write_bytes(clip.read_bytes())
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(world / "nothing"))
    assert main(["video=a.avi", "explainer=centre", "target=3"]) == 0
    printed = capsys.readouterr()
    assert "class explained: class 3 (3)" in printed.out
    assert printed.err.startswith("note: classes have numbers for names: UCF101-24 is not complete, 3 of its parts")


def test_the_end_of_a_damaged_video_is_missed_not_the_result(world, clip, capsys, monkeypatch):
    """The sampled frames could be read; what cannot be decoded behind them shortens the overlay, and is said."""
    from vxbench.own_video import output as explained

    whole = explained.in_order
    monkeypatch.setattr(explained, "in_order", lambda *given: list(whole(*given))[:20])
    assert main([f"video={clip}", "explainer=centre"]) == 0
    total = len(frames_of(clip))
    assert (
        capsys.readouterr().err == f"note: overlay.mp4 has 20 of {total} frames; no more of the video can be decoded\n"
    )
    assert json.loads((made(world) / "result.json").read_text())["overlay"]["frames"] == 20


def test_without_a_dataset_the_model_has_the_classes_of_its_weights():
    assert composed(["video=a.mp4", "model=tsm"])[1]["dataset"] == "ucf101_24"
    assert composed(["video=a.mp4", "model=slowfast"])[1]["dataset"] == "kinetics400"
    assert composed(["video=a.mp4", "model=r2plus1d", "dataset=epic_object"])[1]["dataset"] == "epic_object"
    assert composed(["video=a.mp4", "model=slowfast", "dataset=ucf101_24"])[1]["dataset"] == "ucf101_24"


@pytest.mark.parametrize(
    ("target", "index"), [("PoleVault", 1), ("polevault", 1), ("2", 2), ("0", 0), ("Playing Guitar (indoors)", 3)]
)
def test_a_class_is_named_or_numbered(target, index):
    assert index_of(target, CLASSES) == index


@pytest.mark.parametrize(
    ("target", "hint"),
    [("PoleVautl", "did you mean PoleVault?"), ("4", "there are Biking, PoleVault, "), ("-1", "there are Biking, ")],
)
def test_an_unknown_class_has_near_names(target, hint):
    with pytest.raises(UserError, match="is not predicted, nor one of 4 classes or its number") as caught:
        index_of(target, CLASSES)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["video=absent.mp4"], 1, "no file absent.mp4"),
        (["video=text.mp4"], 1, "text.mp4 is not a video that can be read"),
        (["video=sound.wav"], 1, "sound.wav: no video stream in it"),
        (["video=good.avi", "start=99"], 1, "good.avi: start=99 length=null leaves 0 of its"),
        (["video=good.avi", "target=ClockwiseFromWset"], 1, "did you mean ClockwiseFromWest"),
        (["video=good.avi", "explainer=eb_r"], 1, "the network is not a CNN-RNN"),
        (["video=good.avi", "explainer=boxes"], 1, "this data set has none"),
        (["video=good.avi", "model=slowfast", "dataset=ucf101_24"], 1, "slowfast has no weights for the classes"),
        (["video=good.avi", "model.num_classes=5", "model.checkpoint=null"], 1, "ucf101_24 has 8 classes"),
        (["video=good.avi", "device=tpu"], 1, "device = tpu is not one of"),
        (["video=good.avi", "top=0"], 1, "top = 0 is not a whole number"),
        (["video=good.avi", "paths.results=good.avi"], 1, "good.avi"),
        (["video=good.avi", "explainer=fepp"], 2, "did you mean fep, "),
        (["video=good.avi", "explainer.nothing=1"], 2, "nothing"),
        (["video=good.avi", "explainer=fep,step"], 2, "explainer=fep,step"),
        (["model=tsm"], 2, "no video; vxbench explain video=my.mp4"),
    ],
)
def test_what_is_wrong_is_one_line(world, clip, capsys, words, status, said):
    (world / "good.avi").write_bytes(clip.read_bytes())
    (world / "text.mp4").write_text("no video")
    sound(world / "sound.wav")
    assert main([*(["explainer=centre"] if "explainer" not in str(words) else []), *words]) == status
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not (world / "results/explained").exists()


def sound(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


def test_the_script_tells_how_it_is_used():
    done = subprocess.run([sys.executable, str(ROOT / "scripts/explain.py"), "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "video=my.mp4" in done.stdout
