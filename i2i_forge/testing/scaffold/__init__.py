"""A new plugin as an installable package: `forge plugin new`."""

from i2i_forge.testing.scaffold.names import Names, names_of
from i2i_forge.testing.scaffold.package import KINDS, write_package

__all__ = ["KINDS", "Names", "names_of", "write_package"]
