"""What the occlusion explainers refuse, in one line."""

import pytest

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.occlusion import AOSA, OSA, RISE, AOSAApprox

MEAN, STD = [114.0, 115, 116], [57.0, 58, 59]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AOSA(), "mean = "),
        (lambda: AOSA(MEAN), "mean = "),
        (lambda: AOSA(MEAN, STD, stride=0), "stride = 0"),
        (lambda: AOSA(MEAN, STD, hole=0), "hole = 0"),
        (lambda: AOSA(MEAN, STD, k=-1), "k = -1"),
        (lambda: AOSA(MEAN, STD, aggregate="mean"), "aggregate = mean is not one of released, eq2, coverage"),
        (lambda: AOSA(MEAN, STD, cooc="x"), "cooc = x"),
        (lambda: AOSA(MEAN, STD, ties="x"), "ties = x"),
        (lambda: AOSA(MEAN, STD, gray="x"), "gray = x"),
        (lambda: AOSA(MEAN, STD, letterbox="x"), "letterbox = x"),
        (lambda: AOSA(MEAN, STD, frames="x"), "frames = x"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, mu="box"), "mu = box is not one of"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, mu="surround4"), "mu = surround4 is not one of"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, mu="surround1"), "mu = surround1 is not one of"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, cond="yes"), "cond = yes"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, relu="x"), "relu = x"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, sign="x"), "sign = x"),
        (lambda: AOSAApprox(mean=MEAN, std=STD, adjust="x"), "adjust = x"),
        (lambda: OSA(stride=0), "stride = 0"),
        (lambda: OSA(stride_t=0), "stride_t = 0"),
        (lambda: OSA(size="2pct"), "size = 2pct is not one of area2pct, side2pct or"),
        (lambda: OSA(size=0), "size = 0"),
        (lambda: OSA(extent=0), "extent = 0"),
        (lambda: RISE(masks=0), "masks = 0"),
        (lambda: RISE(p=0), "p = 0"),
        (lambda: RISE(p=1.1), "p = 1.1"),
        (lambda: RISE(grid=(4, 7)), "grid"),
        (lambda: RISE(grid=(4, 7, 0)), "grid = 0"),
    ],
)
def test_a_value_out_of_range_is_named(build, message):
    with pytest.raises(UserError) as error:
        build()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, OutOfRange) or "mean = " in message


def test_a_bare_off_in_yaml_is_false():
    assert AOSA(MEAN, STD, letterbox=False).letterbox == "off"
    assert AOSAApprox(mean=MEAN, std=STD, adjust=False).adjust == "off"
