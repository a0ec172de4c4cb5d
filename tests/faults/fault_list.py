"""The faults, in twelve groups; a test is of fault N when its name begins with `test_N_`."""

GROUPS = {
    "G1 processes and machine": {
        1: "SIGKILL during training", 2: "SIGKILL while a checkpoint is written",
        3: "SIGKILL between writing a checkpoint and making it the newest", 4: "SIGKILL while an old one is removed",
        5: "SIGTERM within a step", 6: "SIGINT, once and twice", 7: "SIGTERM to one rank only", 8: "a rank dies",
        9: "a rank hangs", 10: "the data of one rank fail", 11: "a data worker is killed", 12: "a data worker hangs",
        13: "the clock jumps", 14: "the GPU is out of memory", 15: "the parent alone is killed",
        16: "two runs in one folder",
    },
    "G2 disk": {
        17: "the disk is full while saving", 18: "the disk is full while logging", 19: "the folder is read-only",
        20: "the folder is deleted during the run", 21: "fsync fails", 22: "unusual paths", 23: "a very slow disk",
        24: "a rename that is not atomic",
    },
    "G3 checkpoints": {
        25: "a truncated file", 26: "an empty file", 27: "a flipped bit", 28: "a missing file",
        29: "other networks, a changed recipe", 30: "a newer format", 31: "an older format", 32: "a pickle bomb",
        33: "a pickle, a page or a text as a checkpoint", 34: "hostile safetensors", 35: "weights that are not finite",
        36: "all checkpoints are damaged",
    },
    "G4 images and folders": {
        37: "an empty file", 38: "a truncated image", 39: "text named .jpg", 40: "a wrong extension", 41: "CMYK",
        42: "16 bit", 43: "float TIFF", 44: "alpha", 45: "palette, 1 bit, grey", 46: "EXIF rotation",
        47: "animations and several pages", 48: "a bomb that the library refuses",
        49: "a bomb that it only warns about", 50: "a format that starts programs", 51: "smaller than the crop",
        52: "an empty or missing folder", 53: "pairs that do not match", 54: "fifos, broken links, loops",
    },
    "G5 numbers": {
        55: "a loss that is not finite", 56: "a gradient that is not finite", 57: "fp16 overflow",
        58: "a loss that explodes", 59: "one rank is not finite", 60: "ranks drift apart",
    },
    "G6 recipes and command line": {
        61: "wrong keys, types and ranges", 62: "a key twice", 63: "a base that is missing or refers to itself",
        64: "an alias bomb", 65: "deep nesting", 66: "tags, tabs, bytes", 67: "values that YAML misreads",
        68: "a component that does not exist", 69: "a port in use",
    },
    "G7 plugins": {
        70: "a plugin that fails to load", 71: "one name twice", 72: "another API, misspelt hooks",
    },
    "G8 downloads and archives": {
        73: "downloads that are interrupted or falsified", 74: "hostile archives", 75: "hostile uploads",
    },
    "G9 wrong numbers": {
        76: "gradients that depend on the memory format", 77: "images smaller than any floor of ours",
        78: "files of images taken for draws", 79: "validation images taken for test images, and twins of other bytes",
        80: "terms that need pairs on data without", 81: "a schedule that has ended", 82: "network calls by methods",
        83: "one training image of a classifier twice", 84: "two generator files for one part",
        85: "an edited recipe of a run, and a changed setting that changes no number",
        86: "images of another depth, sign or number of bands", 87: "another default dtype",
    },
    "G10 lost work": {
        88: "output that nobody takes: closed, full, gone", 89: "SIGHUP", 90: "outputs that would replace inputs",
        91: "a last line that was cut", 92: "names that hold anything", 93: "a run folder that is renamed or replaced",
    },
    "G11 files and servers of strangers": {
        94: "links in a run folder", 95: "escape sequences in texts of files",
        96: "special and huge files in a run folder",
        97: "archives with huge headers", 98: "endless, slow or redirected downloads",
        99: "optimizer state that is not finite",
    },
    "G12 limits and dead ends": {
        100: "a data worker that holds the interpreter or is stopped", 101: "limits of the machine",
        102: "plugin files that cannot be parsed, or are thousands", 103: "numbers that are too large",
        104: "sizes that networks and metrics cannot take", 105: "a disk without locks, or full before the first step",
        106: "an option that the new component does not have", 107: "methods and codes that are exported",
        108: "pictures in Python of other layouts and ranges", 109: "a damaged file among those to translate",
    },
}  # fmt: skip
FAULTS = {number: title for faults in GROUPS.values() for number, title in faults.items()}

# Cannot be produced here, and why; not counted.
UNTESTED = {75: "there is no server that takes uploads"}


def fault_of(test: str) -> int | None:
    """The number of the fault that a test is of, from its name."""
    number = test.removeprefix("test_").split("_")[0]
    return int(number) if number.isdecimal() else None
