"""Pretrained weights of other projects: the manifest of them, fetching them into the cache, and verifying them.

Nothing here imports torch.
"""

from i2i_forge.nn.weights.cache import Found, fetch, how_to_get, inspect, path_of, required
from i2i_forge.nn.weights.manifest import MANIFEST, Weights, find

__all__ = ["MANIFEST", "Found", "Weights", "fetch", "find", "how_to_get", "inspect", "path_of", "required"]
