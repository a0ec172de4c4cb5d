"""Pretrained weights of other projects: the manifest of them, fetching them into the cache, and verifying them.

Nothing here imports torch.
"""

from i2i_forge.system.weights.cache import Found, fetch, how_to_get, inspect, path_of, required
from i2i_forge.system.weights.manifest import MANIFEST, Weights, find

__all__ = ["MANIFEST", "Found", "Weights", "fetch", "find", "how_to_get", "inspect", "path_of", "required"]
