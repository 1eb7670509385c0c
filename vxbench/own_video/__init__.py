"""Explains a video of the user's own."""
