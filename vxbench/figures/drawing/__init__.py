"""Drawings: arrays in, files out. Nothing here knows a configuration or a network."""
