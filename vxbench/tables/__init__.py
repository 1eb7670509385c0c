"""Builds tables of results beside the papers' numbers, and writes them."""
