"""Building a classifier: one of mmaction2's own configs, a few overrides, and weights."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vxbench.errors import UserError
from vxbench.hints import did_you_mean
from vxbench.models import mmaction
from vxbench.models.checkpoints import digest, load_checkpoint
from vxbench.models.classifier import Classifier, InputSpec
from vxbench.models.overrides import check_overrides, parameters
from vxbench.ranges import whole


def build_classifier(
    config: str,
    num_classes: int,
    input: Mapping,
    overrides: Mapping | None = None,
    checkpoint: str | Path | Mapping | None = None,
    key: str = "model",
    display: str | None = None,
    cam_layer: str | None = None,
    stages: Sequence[Mapping[str, Sequence[str]]] = (),
    attention: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Classifier:
    """A classifier from mmaction2's config `<arch>/<name>`, in eval mode, without in-place activations.

    overrides: nested, merged into the config's `model`. input: the fields of InputSpec.
    checkpoint: a file, `pkg:<file>` for weights that ship with vxbench, an entry of conf/weights (a mapping with the
    key `file`), or None for random weights drawn from `seed`. Nothing is downloaded here.

    Raises:
        UserError: unknown config or override, a value mmaction2 refuses, or a checkpoint that is missing,
            unsafe or does not fit.
    """
    spec = _input_spec(input)
    checkpoint = checkpoint["file"] if isinstance(checkpoint, Mapping) else checkpoint
    whole("num_classes", num_classes, 1)
    model = _model_config(config, _plain(overrides or {}), num_classes, spec)
    recognizer = _build(key, model, seed, initialise=checkpoint is None)
    source = load_checkpoint(recognizer, checkpoint, _where(config)) if checkpoint is not None else None
    return Classifier(
        _out_of_place(recognizer),
        num_classes,
        spec,
        key=key,
        display=display,
        cam_layer=cam_layer,
        stages=stages,
        attention=attention,
        checkpoint=None if source is None else str(checkpoint),
        checkpoint_digest=None if source is None else digest(source),
    )


def _input_spec(input: Mapping) -> InputSpec:
    known = inspect.signature(InputSpec).parameters
    for name in input:
        if name not in known:
            raise UserError(f"model.input.{name} is not known{did_you_mean(name, known)}")
    missing = [name for name, field in known.items() if field.default is field.empty and name not in input]
    if missing:
        raise UserError(f"model.input.{missing[0]} is missing")
    return InputSpec(**_plain(input))


def _model_config(config: str, overrides: dict, num_classes: int, spec: InputSpec):
    """The config's `model`, with the overrides and what every classifier of ours needs merged in."""
    models = mmaction.registry()
    whole_config = mmaction.read_config(config)
    check_overrides("model.overrides", whole_config.model, overrides, models)
    whole_config.merge_from_dict({"model": overrides})
    model = whole_config.model
    model.cls_head.num_classes = num_classes
    model.data_preprocessor.update(mean=list(spec.mean), std=list(spec.std))
    for part in (model.backbone, model.cls_head):
        if "num_segments" in parameters(models.get(part.type)):
            part.setdefault("num_segments", spec.frames)
    norm = "BN2d" if model.type == "Recognizer2D" else "BN3d"
    _offline(model, models, norm)
    return model


def _offline(node, models, norm: str) -> None:
    """In node and below: no downloads, and `norm` for SyncBN, which needs a process group (same keys)."""
    accepted = parameters(models.get(node["type"])) if isinstance(node.get("type"), str) else set()
    if "pretrained" in accepted:
        node["pretrained"] = None
    if "pretrained2d" in accepted:
        node["pretrained2d"] = False
    if node.get("type") == "SyncBN":
        node["type"] = norm
    if isinstance(node.get("init_cfg"), Mapping) and node["init_cfg"].get("type") == "Pretrained":
        node["init_cfg"] = None
    for child in node.values():
        if isinstance(child, Mapping):
            _offline(child, models, norm)


def _build(key: str, model, seed: int, initialise: bool) -> nn.Module:
    with _drawing_from(seed):
        try:
            recognizer = mmaction.registry().build(model)
        except (TypeError, ValueError, KeyError, AssertionError, AttributeError) as err:
            reason = (str(err) or type(err).__name__).splitlines()[0]
            raise UserError(f"{key}: mmaction2 cannot build this model: {reason}") from err
        if initialise:
            recognizer.init_weights()
    return recognizer


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Draws inside come from seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _out_of_place(model: nn.Module) -> nn.Module:
    """In-place activations made out of place: bit-identical, and safe for hooks and inner gradients."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False
    return model


def _where(config: str) -> str:
    url = mmaction.weights_url(config)
    known = f"mmaction2's own weights of {config} are at {url}; " if url else ""
    return f"{known}model.checkpoint=null gives random weights"


def _plain(node):
    """Mappings and lists as dict and list: Hydra hands over its own kinds."""
    if isinstance(node, Mapping):
        return {name: _plain(value) for name, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    return node
