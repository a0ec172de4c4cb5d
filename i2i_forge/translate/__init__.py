"""A trained run used: images of any size, tiles, many styles, files, export.

The name of this room is also that of a verb: `i2i_forge.translate(run, images)`.
"""

from i2i_forge.system.verbs import callable_package

callable_package(__name__, "translate.translator.translate")
