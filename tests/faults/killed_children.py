"""Children that save checkpoints and are killed: `killed_children.py FOLDER`, and a line `moments|calls|removal COUNT`.

Prints what is left after so many kills, as JSON. It does so for every line on its stdin.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from forged_checkpoints import Weights

from i2i_forge.run import checkpoint


class Trial:
    """Kills one child after another, forks of this process, and looks at what they leave.

    Attributes:
        said: how many kills there were, how many checkpoints could not be read, how many saves that had returned were
            lost, and where the kills hit.
    """

    def __init__(self, root):
        self.root, self.last, self.draw = root, 0, random.Random(0)
        self.said = {"kills": 0, "unreadable": 0, "lost": 0}
        checkpoint.save(root, 0, Weights(0), {}, keep=2)

    def kill(self, child_work, after=None):
        """Start a child; kill it after so many seconds, or let it kill itself. Returns the newest step then."""
        child = os.fork()
        if child == 0:
            child_work()
            os._exit(0)
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        self.said["kills"] += os.WIFSIGNALED(status)
        problems = []
        try:
            found = checkpoint.newest(self.root, problems.append)
            whole = bool((found.model["decoder.a.weight"] == found.step).all())
            self.said["unreadable"] += len(problems) + (not whole)
            self.said["lost"] += found.step < self.last
            self.last = found.step
        except Exception as error:
            self.said["unreadable"] += 1
            sys.stderr.write(f"{error}\n")
        return self.last

    def save(self, step, keep=2):
        checkpoint.save(self.root, step, Weights(step), {}, keep)

    def moments(self, count):
        """At random moments of endless saving, removal of old ones included."""

        def work():
            for step in range(self.last + 1, self.last + 10_000):
                self.save(step)

        began = time.monotonic()
        self.save(1)
        self.last = 1
        longest = 4 * (time.monotonic() - began)
        for number in range(count):
            self.kill(work, after=self.draw.uniform(0.001, max(longest, 0.06)))
            if number % 3 == 0:
                checkpoint.sweep(self.root)
        self.said["saved"] = self.last

    def calls(self, count):
        """After the first, second ... system call of a save that changes the disk."""
        self.said |= {"before": 0, "after": 0}
        for number in range(count):
            before, step = self.last, self.last + 1

            def work(step=step, left=1 + number % 12):
                die_at_call(left)
                self.save(step)

            newest = self.kill(work)
            self.said["after" if newest > before else "before"] += 1

    def removal(self, count):
        """While the checkpoint before the last is removed, after each of its files."""
        self.said |= {"half_removed": 0}
        for number in range(count):
            step = self.last + 1

            def work(step=step, left=1 + number % 9):
                commit = os.rename

                def rename(*places):
                    commit(*places)
                    os.rename = commit
                    die_at_call(left)

                os.rename = rename
                self.save(step, keep=1)

            self.said["lost"] += self.kill(work) != step  # the new one was committed
            trash = list(self.root.glob(".trash-*"))
            self.said["half_removed"] += any(len(list(folder.iterdir())) < 4 for folder in trash)
            checkpoint.sweep(self.root)


def die_at_call(left):
    """This process kills itself after so many calls that change what is on disk."""
    calls = [left]

    def counted(function):
        def call(*arguments, **options):
            result = function(*arguments, **options)
            calls[0] -= 1
            if calls[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in ("fsync", "mkdir", "rename", "unlink", "rmdir", "open", "write"):
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    for line in sys.stdin:
        kind, count = line.split()
        trial = Trial(Path(sys.argv[1]) / f"{kind}-{count}")
        getattr(trial, kind)(int(count))
        sys.stdout.write(f"{json.dumps(trial.said)}\n")
        sys.stdout.flush()
