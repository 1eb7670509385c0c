"""Data sets: indices of clips, decoding, annotation, and the generator of the mini data."""
