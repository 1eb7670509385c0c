"""Tables beside the papers' numbers, and pictures of maps. A name is imported when it is used."""

from importlib import import_module

_HOME = {
    "CellResult": "cells",
    "FigureClip": "figures",
    "Profile": "cells",
    "Table": "table",
    "make_table": "build",
    "maps_figure": "figures",
    "print_table": "render.terminal",
    "write_table": "write",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
