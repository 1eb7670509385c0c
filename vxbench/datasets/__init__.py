"""Data sets: an index of clips, decoding, annotation, preprocessing; the generator of the mini data."""
