"""The installed plugins, loaded once for all tests; one that changes them, or lets one fail, loads its own."""

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary
from i2i_forge.engine.build import build_trainer
from i2i_forge.recipe.reading import read_recipe

HOST, QUIET = load_plugins(), load_plugins()
QUIET.manager.unregister(name="sample_grids")
CATALOG, FORMATS = HOST.catalog, HOST.catalog.formats
VOCABULARY = read_vocabulary(find_plugins())


def recipe_of(name, *sets, drop=()):
    """A shipped recipe with these changes, as `i2i_forge.load_recipe`, which finds the plugins again, gives it."""
    return read_recipe(name, set=sets, drop=drop, vocabulary=VOCABULARY)


def trainer_of(name, *sets, drop=(), **options):
    """The trainer of a shipped recipe with these changes."""
    return build_trainer(recipe_of(name, *sets, drop=drop), CATALOG, **options)
