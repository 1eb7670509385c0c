"""One generator per clip."""

import hashlib

import torch


def generator_of(seed: int, clip_id: str) -> torch.Generator:
    """A CPU generator seeded from (seed, clip id): a clip draws the same numbers in any batch, shard or position."""
    digest = hashlib.sha256(f"{seed}\n{clip_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
