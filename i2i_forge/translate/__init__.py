"""A trained run used: images of any size, tiles, many styles, files, export.

The name of this room is also that of a verb: `i2i_forge.translate(run, images)`. Importing it does not import torch.
"""

from typing import TYPE_CHECKING

from i2i_forge.system.verbs import callable_package, names_from

if TYPE_CHECKING:
    from i2i_forge.translate.loading import load, translate
    from i2i_forge.translate.translator import Translator

__all__ = ["Translator", "load", "translate"]

__getattr__ = names_from(
    __name__, {"Translator": "translate.translator", "load": "translate.loading", "translate": "translate.loading"}
)
callable_package(__name__, "translate.loading.translate")
