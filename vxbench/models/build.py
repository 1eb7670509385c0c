"""Builds a classifier from one of mmaction2's configs, or a network of one's own, with overrides and weights."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vxbench.errors import UserError, did_you_mean, first_line
from vxbench.models import mmaction
from vxbench.models.checkpoints import digest, load_checkpoint
from vxbench.models.classifier import Classifier, InputSpec
from vxbench.ranges import one_of, whole


def build_classifier(
    config: str | None,
    num_classes: int,
    input: Mapping,
    overrides: Mapping | None = None,
    network: Mapping | Callable[..., nn.Module] | None = None,
    outputs: str | None = None,
    checkpoint: str | Path | Mapping | None = None,
    key: str = "model",
    display: str | None = None,
    cam_layer: str | None = None,
    cam_layers: Mapping[str, str] | None = None,
    cam_at: str | None = None,
    cam_layout: str | None = None,
    token_order: str | None = None,
    stages: Sequence[Mapping[str, Sequence[str]]] = (),
    attention: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Classifier:
    """Builds a classifier from mmaction2's config `<arch>/<name>`, in eval mode, without in-place activations.

    overrides: nested, merged into the config's `model`; a part with `_delete_: true` takes the config's place
        instead. input: the fields of InputSpec.
    network: in place of a config (None), a network from clips (B, 3, T, H, W) to scores (B, K): {type: its name in
        mmaction2's registry, and its arguments}, or a callable that makes it. It is given num_classes if it takes it.
    outputs: `logits` or `probs`, whichever the network gives; None asks its attribute `outputs`, logits without one.
    checkpoint: a file, `pkg:<file>` for weights that ship with vxbench, an entry of `weights` (a mapping with the
        key `file`), or None for random weights drawn from `seed`. Nothing is downloaded here.
    cam_layers: layers that cam_layer may be, by name; cam_at: the name of the one that it is. cam_layout, token_order:
        how its axes and tokens lie.

    Raises:
        UserError: unknown config or override, a value mmaction2 or the network refuses, or a checkpoint that is
            missing, unsafe or does not fit.
    """
    spec = _input_spec(input)
    whole("num_classes", num_classes, 1)
    if cam_at is not None:
        one_of("cam_at", cam_at, cam_layers or ())
    _check_source(key, config, network, overrides)
    with _drawing_from(seed):
        if network is None:
            model = _model_config(config, _plain(overrides or {}), num_classes, spec)
            recognizer = _build(key, model, initialise=checkpoint is None)
        else:
            recognizer = _network(_plain(network), num_classes)
    source = None if checkpoint is None else load_checkpoint(recognizer, checkpoint)
    return Classifier(
        _out_of_place(recognizer),
        num_classes,
        spec,
        outputs=outputs,
        key=key,
        display=display,
        cam_layer=cam_layer,
        cam_layers=cam_layers,
        cam_layout=cam_layout,
        token_order=token_order,
        stages=stages,
        attention=attention,
        checkpoint=None if source is None else str(source),
        checkpoint_digest=None if source is None else digest(source),
    )


def check_overrides(path: str, node: Mapping, overrides: Mapping, models) -> None:
    """Checks that every override is a key of the config's node or a parameter of the class that the node names.

    Parts whose class is not in the registry `models` (mmcv's layers) are left to the builder. A part with `_delete_`
    set takes the node's place, so the node's keys are not known to it.

    Raises:
        UserError: names the first override that is neither, with the nearest names.
    """
    node = {} if overrides.get("_delete_") else node
    kind = overrides.get("type", node.get("type"))
    cls = _class_of(kind, models)
    if isinstance(kind, str) and cls is None:
        return
    known = set(node) | parameters(cls) | {"type", "_delete_"}
    for name, value in overrides.items():
        if name not in known:
            raise UserError(f"{path}.{name} is not known{did_you_mean(name, known)}")
        if isinstance(value, Mapping):
            below = node.get(name)
            check_overrides(f"{path}.{name}", below if isinstance(below, Mapping) else {}, value, models)


def _class_of(kind: Any, models) -> type | None:
    """The class that a part's `type` names; None where the registry has none."""
    try:
        return models.get(kind) if isinstance(kind, str) else None
    except RuntimeError:  # that is how mmengine says it
        return None


def parameters(cls: type | None) -> set[str]:
    """Names of the constructor's parameters, with those that **kwargs hands on to the bases; no name for None."""
    bases = inspect.getmro(cls) if cls is not None else ()
    own = [base for base in bases if "__init__" in vars(base) and base not in (nn.Module, object)]
    names = {name for base in own for name in inspect.signature(base.__init__).parameters}
    return names - {"self", "args", "kwargs"}


def _input_spec(input: Mapping) -> InputSpec:
    known = inspect.signature(InputSpec).parameters
    for name in input:
        if name not in known:
            raise UserError(f"model.input.{name} is not known{did_you_mean(name, known)}")
    missing = [name for name, field in known.items() if field.default is field.empty and name not in input]
    if missing:
        raise UserError(f"model.input.{missing[0]} is missing")
    return InputSpec(**_plain(input))


def _check_source(key: str, config, network, overrides) -> None:
    if (config is None) == (network is None):
        raise UserError(f"{key}: give model.config, one of mmaction2's, or model.network, not both")
    if network is not None and overrides:
        raise UserError(f"{key}: model.overrides are of model.config; model.network has its arguments in itself")


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
        if "num_segments" in parameters(_class_of(part.type, models)):
            part.setdefault("num_segments", spec.frames)
    norm = "BN2d" if model.type == "Recognizer2D" else "BN3d"
    _offline(model, models, norm)
    return model


def _offline(node, models, norm: str) -> None:
    """Turns off downloads in node and below, and puts `norm` for SyncBN: the same keys, but no process group needed."""
    accepted = parameters(_class_of(node.get("type"), models))
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


def _build(key: str, model, initialise: bool) -> nn.Module:
    try:
        recognizer = mmaction.registry().build(model)
    except (TypeError, ValueError, LookupError, AssertionError, AttributeError, RuntimeError) as err:
        raise UserError(f"{key}: mmaction2 cannot build this model: {first_line(err)}") from err
    if initialise:
        recognizer.init_weights()
    return recognizer


def _network(network: dict | Callable[..., nn.Module], num_classes: int) -> nn.Module:
    make, arguments = (network, dict(getattr(network, "keywords", {}))) if callable(network) else _registered(network)
    try:
        if "num_classes" in inspect.signature(getattr(make, "func", make)).parameters:  # func: of a partial
            arguments.setdefault("num_classes", num_classes)
        made = make(**arguments)
    except Exception as err:  # a constructor that is not ours may raise anything
        raise UserError(f"model.network: {first_line(err)}") from err
    if not isinstance(made, nn.Module):
        raise UserError(f"model.network makes {type(made).__name__}, not an nn.Module")
    return made


def _registered(network: dict) -> tuple[type[nn.Module], dict[str, Any]]:
    """The class in mmaction2's registry that the network names, and the arguments beside the name."""
    models = mmaction.registry()
    kind = network.get("type")
    cls = _class_of(kind, models)
    if cls is None:
        raise UserError(f"model.network.type = {kind} is not in mmaction2's registry")
    check_overrides("model.network", {}, network, models)
    return cls, {name: value for name, value in network.items() if name != "type"}


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Makes draws inside come from seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU as well
        yield


def _out_of_place(model: nn.Module) -> nn.Module:
    """Makes in-place activations out of place: bit-identical, and safe for hooks and inner gradients."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False
    return model


def _plain(node):
    """Mappings and lists as dict and list: Hydra hands over its own kinds."""
    if isinstance(node, Mapping):
        return {name: _plain(value) for name, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    return node
