"""Paths that are addresses are refused, as nothing but weights is read over the network."""

from pathlib import Path

import pytest

from vxbench.errors import OutOfRange
from vxbench.ranges import local


@pytest.mark.parametrize("address", ["https://a.b/c.mp4", "HTTP://a", "s3://bucket/x", "file:///x.mp4", "rtsp://cam"])
def test_an_address_is_no_path(address):
    with pytest.raises(OutOfRange, match=f"video = {address} is an address, which is not read; download it"):
        local("video", address)


@pytest.mark.parametrize("name", ["12:30:05.mp4", "-x.mp4", "concat:a|b.mp4", "a/b://c", "/data", "http:x.mp4", "c:/x"])
def test_a_name_with_a_colon_is_a_path(name):
    assert local("video", name) == Path(name)
