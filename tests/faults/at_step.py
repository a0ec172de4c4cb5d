"""Source for `inject=`: something happens to forge at the beginning of a step, once."""

SOURCE = """
import os

if os.environ.get("RANK", "0") == "{rank}":
    import time
    import torch
    from i2i_forge import errors
    from i2i_forge.engine import trainer

    begin = trainer.Trainer.begin

    def begin_with_fault(self, batch, done, given=None, watcher=None):
        if done == {at} and not os.path.exists({once!r}):
            open({once!r}, "w").close()
            {what}
        return begin(self, batch, done, given, watcher=watcher)

    trainer.Trainer.begin = begin_with_fault
"""

# The weights of the generator's decoder: their gradients come after the discriminator was updated.
WEIGHT = "next(self.networks['decoder']['b'].parameters())"


def at_step(watch, what, *, at=3, rank=0):
    """At the step after `at` done ones, on this rank: a statement that sees `self`, the trainer, and `batch`."""
    return SOURCE.format(what=what, at=at, rank=rank, once=str(watch.folder / f"happened-{len(watch.started)}"))


LATE = "\nfrom i2i_forge.engine.trainer import Trainer\nTrainer.judged_late = True\n"  # as on a GPU


def raised(error):
    """A statement that raises in the midst of a step, when one player has been updated already."""
    return f"{WEIGHT}.register_hook(lambda gradient: (_ for _ in ()).throw({error}))"


def term(name, route, factor):
    """A statement that multiplies a term's loss."""
    return (
        f"[object.__setattr__(t, 'loss', lambda *v, was=t.loss: was(*v) * float('{factor}')) "
        f"for p in self.phases for t in p.terms if (t.name, t.route) == ('{name}', '{route}')]"
    )
