"""Processes forked from one that has imported torch and all plugins: seconds are saved with each.

Each has memory and state of its own, as if Python had been started anew; a test that forks its own process would give
them its threads and all that it has loaded.
"""

import contextlib
import datetime
import io
import multiprocessing
import os
import runpy
import sys
import tempfile
from multiprocessing import forkserver

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing import start_processes

from i2i_forge.cli import main

IMPORTED = ["loaded", "torch._dynamo", "i2i_forge.run.loop", "i2i_forge.study.bench_steps"]


def context():
    """Where processes are made, whose server runs."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        # the server of Python 3.11 looks for what it shall import in the environment's path alone
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return made


def start_forge(arguments, log, **environment):
    """The process of a command that writes to the file `log`, in a session of its own."""
    process = context().Process(target=_forge, args=([*map(str, arguments)], log, environment))
    process.start()
    return process


def _forge(arguments, log, environment):
    os.setsid()
    os.environ.update(environment)
    sys.argv = ["forge", *arguments]
    with log.open("w") as out:
        for number in (1, 2):
            os.dup2(out.fileno(), number)
    main(arguments)


def printed_by(module, *arguments):
    """What `python -m module` prints, run with these arguments in a process of its own."""
    with context().Pool(1) as pool:
        return pool.apply(_run, (module, arguments))


def _run(module, arguments):
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_module(module, run_name="__main__")
    return out.getvalue()


def on_ranks(work, ranks, *arguments):
    """Run work(rank, *arguments) on so many ranks of a group."""
    context()
    with tempfile.TemporaryDirectory() as folder:
        start_processes(_rank, (ranks, f"{folder}/meeting", work, arguments), nprocs=ranks, start_method="forkserver")


def _rank(rank, ranks, meeting, work, arguments):
    torch.set_num_threads(1)
    limit = datetime.timedelta(seconds=120)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks, timeout=limit)
    work(rank, *arguments)
    dist.destroy_process_group()
