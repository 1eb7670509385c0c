"""Reference benchmark for explaining video classifiers."""

__version__ = "0.1.0"
