"""Files from the web: downloads that resume, and members of archives that nobody vouches for."""

from i2i_forge.system.fetch.archive import IMAGES, LONGEST_HEADERS, next_member
from i2i_forge.system.fetch.download import disk_error, download, forget, note_of, offline

__all__ = ["IMAGES", "LONGEST_HEADERS", "disk_error", "download", "forget", "next_member", "note_of", "offline"]
