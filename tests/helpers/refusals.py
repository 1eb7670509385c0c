"""Checks that what is wrong is refused in one line."""

from collections.abc import Callable

import pytest

from vxbench.errors import OutOfRange


def assert_refused(pattern: str, make: Callable, *args, error: type[Exception] = OutOfRange, **settings) -> None:
    """Fails unless make(*args, **settings) raises the error with one line in which the pattern is found."""
    with pytest.raises(error, match=pattern) as caught:
        make(*args, **settings)
    assert "\n" not in str(caught.value)
