"""What the occlusion explainers refuse, in one line."""

import re
from functools import partial

from helpers.refusals import assert_refused

from vxbench.errors import UserError
from vxbench.explainers.occlusion import AOSA, OSA, RISE, AOSAApprox

MEAN, STD = [114.0, 115, 116], [57.0, 58, 59]
aosa, approx = partial(AOSA, MEAN, STD), partial(AOSAApprox, mean=MEAN, std=STD)


def test_a_value_out_of_range_is_named():
    assert_refused("mean = ", AOSA, error=UserError)
    assert_refused("mean = ", AOSA, MEAN, error=UserError)
    for message, make, setting in [
        ("stride = 0", aosa, {"stride": 0}),
        ("hole = 0", aosa, {"hole": 0}),
        ("k = -1", aosa, {"k": -1}),
        ("aggregate = mean is not one of released, eq2, coverage", aosa, {"aggregate": "mean"}),
        ("cooc = x", aosa, {"cooc": "x"}),
        ("ties = x", aosa, {"ties": "x"}),
        ("gray = x", aosa, {"gray": "x"}),
        ("letterbox = x", aosa, {"letterbox": "x"}),
        ("frames = x", aosa, {"frames": "x"}),
        ("mu = box is not one of", approx, {"mu": "box"}),
        ("mu = surround4 is not one of", approx, {"mu": "surround4"}),
        ("mu = surround1 is not one of", approx, {"mu": "surround1"}),
        ("cond = yes", approx, {"cond": "yes"}),
        ("relu = x", approx, {"relu": "x"}),
        ("sign = x", approx, {"sign": "x"}),
        ("adjust = x", approx, {"adjust": "x"}),
        ("stride = 0", OSA, {"stride": 0}),
        ("stride_t = 0", OSA, {"stride_t": 0}),
        ("size = 2pct is not one of area2pct, side2pct or", OSA, {"size": "2pct"}),
        ("size = 0", OSA, {"size": 0}),
        ("extent = 0", OSA, {"extent": 0}),
        ("masks = 0", RISE, {"masks": 0}),
        ("p = 0", RISE, {"p": 0}),
        ("p = 1.1", RISE, {"p": 1.1}),
        ("grid", RISE, {"grid": (4, 7)}),
        ("grid = 0", RISE, {"grid": (4, 7, 0)}),
    ]:
        assert_refused(re.escape(message), make, **setting)


def test_a_bare_off_in_yaml_is_false():
    assert AOSA(MEAN, STD, letterbox=False).letterbox == "off"
    assert AOSAApprox(mean=MEAN, std=STD, adjust=False).adjust == "off"
