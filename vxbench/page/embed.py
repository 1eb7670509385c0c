"""Data inside HTML: JSON that cannot end its script element, files as data addresses, hashes for the page's policy."""

import base64
import hashlib
import json
import math
from typing import Any

from markupsafe import Markup

_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def json_text(value: Any) -> Markup:
    """JSON for the inside of a script element: no character of it can open or close a tag or a comment.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON has no word for; see `finite`.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def finite(value: float, digits: int = 4) -> float | None:
    """The value to that many significant digits; None for NaN and infinity."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def data_uri(content: bytes, kind: str) -> str:
    """The content as an address. kind: its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
