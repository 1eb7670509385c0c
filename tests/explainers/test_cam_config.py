"""The YAML files of the CAM methods and of Attention Rollout: the library's defaults, the model's layer."""

import inspect

import pytest
from helpers.configs import composed
from omegaconf import OmegaConf

from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, SaliencyTubes
from vxbench.explainers.rollout import AttentionRollout

CLASSES = {
    "gradcam": GradCAM,
    "gradcam_pp": GradCAMPlusPlus,
    "saliency_tubes": SaliencyTubes,
    "attention_rollout": AttentionRollout,
}
FROM_THE_MODEL = {"layer", "token_order", "temporal", "spatial", "chunk"}


@pytest.mark.parametrize("name", CLASSES)
def test_the_file_names_every_setting_with_the_library_s_default(name):
    config = OmegaConf.to_container(composed(f"explainer={name}").explainer, resolve=True)
    assert config.pop("_target_") == f"vxbench.explainers.{CLASSES[name].__name__}"
    known = inspect.signature(CLASSES[name]).parameters
    assert config.keys() == known.keys()
    for key in known.keys() - FROM_THE_MODEL:
        assert config[key] == known[key].default, key


@pytest.mark.choice("cam.layer")
@pytest.mark.parametrize("name", ["gradcam", "gradcam_pp", "saliency_tubes"])
@pytest.mark.parametrize("model", ["r2plus1d", "tsm"])
def test_the_layer_is_the_model_s_own_and_can_be_another(name, model):
    chosen = composed(f"model={model}", f"explainer={name}")
    assert chosen.explainer.layer == chosen.model.cam_layer == "recognizer.backbone.layer4"
    other = composed(f"model={model}", f"explainer={name}", "explainer.layer=recognizer.backbone.layer3")
    assert other.explainer.layer == "recognizer.backbone.layer3"


def test_a_table_says_the_weights_of_each_model():
    assert composed("+table=fep_1", "explainer=gradcam", "model=r2plus1d").explainer.weights == "global"
    assert composed("+table=fep_1", "explainer=gradcam", "model=tsm").explainer.weights == "per_step"
    assert composed("explainer=gradcam", "model=r2plus1d").explainer.weights == "per_step"


def test_a_model_without_attention_says_so_and_one_with_it_gives_the_patterns():
    config = composed("explainer=attention_rollout")
    assert (config.explainer.temporal, config.explainer.spatial) == (None, None)
    config = composed(
        "explainer=attention_rollout", "+model.attention={temporal: '*.attentions.0.attn', spatial: '*.1.attn'}"
    )
    assert (config.explainer.temporal, config.explainer.spatial) == ("*.attentions.0.attn", "*.1.attn")
