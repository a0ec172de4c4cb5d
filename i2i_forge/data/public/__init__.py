"""Public data sets: the table of them, downloading with resume, and unpacking archives that nobody vouches for.

Nothing here imports torch.
"""

from i2i_forge.data.public.fetch import RECORD, Fetched, fetch
from i2i_forge.data.public.table import TABLE, PublicData, find
from i2i_forge.system.fetch.archive import Limits, extract
from i2i_forge.system.fetch.download import download

__all__ = ["RECORD", "TABLE", "Fetched", "Limits", "PublicData", "download", "extract", "fetch", "find"]
