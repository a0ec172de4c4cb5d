"""Groups of ranks: processes of one server that has imported torch and the plugins, so that a group starts at once."""

import datetime
import os
import sys
import tempfile

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(work, ranks, *arguments):
    """Run work(rank, *arguments) on so many ranks of a group."""
    mp.set_forkserver_preload(["loaded", "torch._dynamo"])  # which tracing imports
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # the server of Python 3.11 looks for what it shall import in the environment's path alone
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        mp.start_processes(
            _rank, (ranks, f"{folder}/meeting", work, arguments), nprocs=ranks, start_method="forkserver"
        )


def _rank(rank, ranks, meeting, work, arguments):
    torch.set_num_threads(1)
    limit = datetime.timedelta(seconds=120)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks, timeout=limit)
    work(rank, *arguments)
    dist.destroy_process_group()
