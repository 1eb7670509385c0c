"""Timings: explainers beside their network, networks at the papers' sizes, the loading of clips."""
