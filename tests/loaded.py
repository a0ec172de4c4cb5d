"""The installed plugins, loaded once for all tests; one that changes them, or lets one fail, loads its own."""

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary

HOST, QUIET = load_plugins(), load_plugins()
QUIET.manager.unregister(name="sample_grids")
CATALOG, FORMATS = HOST.catalog, HOST.catalog.formats
VOCABULARY = read_vocabulary(find_plugins())
