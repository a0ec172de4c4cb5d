"""Images in: reading files, listing folders, augmentation, and the sources that a dataset offers."""

from i2i_forge.data.checks import Sizes, check_halves, check_images, check_lists, check_pairs, match_stems
from i2i_forge.data.decode import BadImage, Encoded, check_file, check_header, decode, open_clamped, reading
from i2i_forge.data.folders import (
    A_NAMES,
    B_NAMES,
    SIDE_NAMES,
    is_side_by_side,
    list_images,
    read_list,
    split_folder,
)
from i2i_forge.data.images import save_png, sheet
from i2i_forge.data.orientation import Orientation, orientation_of
from i2i_forge.data.path_list import Lazy, Pairs, Paths
from i2i_forge.data.source import (
    Dataset,
    HalfSource,
    ImageSource,
    PairSource,
    SideBySideSource,
    Source,
    need_one_of,
    tolerant,
)
from i2i_forge.data.stored import (
    Codes,
    FileFormat,
    Header,
    Stored,
    bad,
    check_size,
    check_type,
    grid_digest,
    need_plain,
)
from i2i_forge.data.transforms import Draw, Transform, to_tensor

__all__ = [
    "A_NAMES", "B_NAMES", "SIDE_NAMES", "BadImage", "Codes", "Dataset", "Draw", "Encoded", "FileFormat",
    "HalfSource", "Header", "ImageSource", "Lazy", "Orientation", "PairSource", "Pairs", "Paths", "SideBySideSource",
    "Sizes", "Source", "Stored", "Transform", "bad", "check_file", "check_halves", "check_header", "check_images",
    "check_lists", "check_pairs", "check_size", "check_type", "decode", "grid_digest", "is_side_by_side",
    "list_images", "match_stems", "need_one_of", "need_plain", "open_clamped", "orientation_of", "read_list", "reading",
    "save_png", "sheet", "split_folder", "to_tensor", "tolerant",
]  # fmt: skip
