"""Two ranks of one training run, started as any launcher starts them, and what can happen to one of them."""

import socket

from at_step import at_step
from survival import LIMIT

QUICK = ("run.rank_timeout=40",)  # seconds
IMPATIENT = """
from i2i_forge.system.distributed import ranks
ranks.GRACE = 0.5  # there is no third rank to wait for
"""
# What torchrun forks for each rank: a script, because `forge` itself would be imported anew.
RANK = """
import sys
{inject}
from i2i_forge.cli import main
main(sys.argv[1:])
"""


def free_port():
    """A port that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class TwoRanks:
    """Runs two ranks of forge; their settings are those of `Watch.train`."""

    def __init__(self, watch):
        self.watch = watch

    def fault(self, what, *, rank=1, at=3):
        """Injected source: at this step, once, this rank does `what`."""
        return IMPATIENT + at_step(self.watch, what, at=at, rank=rank)

    def start_one(self, rank, run, *, port, inject=None, changes=(), **settings):
        """The process of one rank."""
        command = self.watch.subject.command(run, changes=(*QUICK, *changes), **settings)
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(rank)}
        return self.watch.start(command, environment={**environment, "LOCAL_RANK": str(rank)}, inject=inject)

    def start(self, run, **settings):
        """The processes of ranks 0 and 1."""
        port = free_port()
        return [self.start_one(rank, run, port=port, **settings) for rank in (0, 1)]

    def end(self, processes, limit=LIMIT):
        """What both left."""
        return [self.watch.end(process, limit=limit) for process in processes]

    def train(self, run, *, limit=LIMIT, **settings):
        """Train to the end; what both left."""
        return self.end(self.start(run, **settings), limit)

    def torchrun(self, run, *options, inject=None, changes=(), limit=120, **settings):
        """Train under torchrun, to the end."""
        python, _, _, *rest = self.watch.subject.command(run, changes=(*QUICK, *changes), **settings)
        script = self.watch.folder / "rank.py"
        script.write_text(RANK.format(inject=inject))
        launch = [python, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
        return self.watch.end(
            self.watch.start([*launch, *options, "--run-path", "--start-method", "fork", "--", script, *rest]),
            limit=limit,
        )


def all_well(ended):
    """Both ranks ended well."""
    assert [each.code for each in ended] == [0, 0], [each.err[-1500:] for each in ended]


def one_message(ended, code, *words):
    """Both ranks ended with this code, and exactly one of them says why (rule e)."""
    assert [each.code for each in ended] == [code] * len(ended), [each.err[-1500:] for each in ended]
    telling = [each for each in ended if "error:" in each.err]
    assert len(telling) == 1, [each.err[-1500:] for each in ended]
    telling[0].refused(code, *words)
