"""Images in: reading files, listing folders, augmentation, and the sources that a dataset offers."""

from i2i_forge.data.case_source import CaseByCase, CaseSource, case_transform
from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.checks import Sizes, check_halves, check_images, check_lists, check_pairs, match_stems
from i2i_forge.data.decode import Encoded, check_header, decode, open_clamped
from i2i_forge.data.domains import Domains
from i2i_forge.data.file_checks import BadImage, bad, check_file, check_type, reading
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
from i2i_forge.data.space import ImageSpace, shown
from i2i_forge.data.splits import refuse_divided_groups, split_cases
from i2i_forge.data.stored import Codes, FileFormat, Header, Stored, check_size, grid_digest, need_plain
from i2i_forge.data.transforms import Draw, Transform, to_tensor

__all__ = [
    "A_NAMES", "B_NAMES", "SIDE_NAMES", "BadImage", "Case", "CaseByCase", "CaseSource", "Codes", "Dataset",
    "Domains", "Draw", "Encoded", "FileFormat", "HalfSource", "Header", "ImageSource", "ImageSpace", "Lazy",
    "Orientation", "PairSource", "Pairs", "Paths", "SideBySideSource", "Sizes", "Source", "Stored", "Transform",
    "bad", "case_transform", "check_file", "check_halves", "check_header", "check_images", "check_lists",
    "check_pairs", "check_size", "check_type", "decode", "find_cases", "folder_cases", "grid_digest",
    "is_side_by_side", "list_images", "match_stems", "need_one_of", "need_plain", "open_clamped", "orientation_of",
    "read_list", "reading", "refuse_divided_groups", "save_png", "sheet", "shown", "split_cases", "split_folder",
    "to_tensor", "tolerant",
]  # fmt: skip
