"""Taking steps of a run once more, writing nothing: where does a NaN begin, and can the run be trusted?"""

from i2i_forge.run.replay.player import Player, logged
from i2i_forge.run.replay.verdict import Comparison, Verdict, verify
from i2i_forge.run.replay.watched_step import WatchedStep, watched_step

__all__ = ["Comparison", "Player", "Verdict", "WatchedStep", "logged", "verify", "watched_step"]
