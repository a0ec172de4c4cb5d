"""A rank of the exact-resume matrix: `torchrun --nproc-per-node 2 resume_on_ranks.py FOLDER RECIPE`.

Takes every stop and worker setting of a recipe; the first rank prints which differ from the run without a stop.
"""

import sys
from pathlib import Path

import torch
from loaded import QUIET
from small_runs import STOPS, WORKERS, resumed, straight

from i2i_forge.system import distributed


def main(folder, name):
    """Every cell of a recipe's matrix."""
    torch.set_num_threads(1)
    differ, cells = [], 0
    with distributed.joined("cpu", 120):
        digest = straight(QUIET, name, folder / "straight")
        for stop in STOPS.values():
            for workers in WORKERS:
                cells += 1
                found = resumed(QUIET, name, folder / f"{stop} {workers}", stop, workers)
                if any(distributed.everyone(found != digest)):
                    differ.append((stop, workers))
        if distributed.rank() == 0:
            sys.stdout.write(f"{cells} cells on {distributed.world_size()} ranks, different: {differ}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
