"""Processes forked from one that has imported torch and all plugins: seconds are saved with each.

Each has memory and state of its own, as if Python had been started anew; a test that forks its own process would give
them its threads and all that it has loaded.
"""

import contextlib
import io
import multiprocessing
import os
import runpy
import sys

from i2i_forge.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["loaded", "torch._dynamo", "i2i_forge.run.loop", "i2i_forge.study.bench_steps"])


def start_forge(arguments, log, **environment):
    """The process of a command that writes to the file `log`, in a session of its own."""
    process = CONTEXT.Process(target=_forge, args=([*map(str, arguments)], log, environment))
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
    with CONTEXT.Pool(1) as pool:
        return pool.apply(_run, (module, arguments))


def _run(module, arguments):
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_module(module, run_name="__main__")
    return out.getvalue()
