"""Networks that are shown other images than they were built for: which, of what, and what can be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from i2i_forge.engine.method import Method
from i2i_forge.engine.phases import PhasePlan
from i2i_forge.engine.watcher import Node
from i2i_forge.errors import RecipeError
from i2i_forge.nn.colour import WrongChannels


def rgb_counts(method: Method) -> Collection[int] | None:
    """How many channels an image or a pair may have whose first three are RGB; None where all images are RGB."""
    ends = [method.ends(route) for route in method.routes]
    if all(space.is_rgb8 for pair in ends for space in pair):
        return None
    singly = {3 for pair in ends for space in pair if space.is_rgb8}
    return singly | {3 + len(target) for source, target in ends if source.is_rgb8}


def channels_problem(
    error: WrongChannels, network: str, failed: Sequence[Node], phase: PhasePlan, method: Method
) -> RecipeError:
    """What is said of a network, "encoder.a", that was shown another number of channels.

    Args:
        failed: what could not be computed for that, the innermost first.
        phase: whose terms asked for it.
    """
    (role, _, domain), counts = network.partition("."), {d: len(method.spaces[d]) for d in method.image_domains()}
    if rgb_counts(method) is None or not failed:
        fix = "make them agree, by `channels` or `width`; images have 3 channels (RGB), two of them side by side 6"
        return RecipeError(f"networks.{role}: {error}", fix=fix)
    images = [name for name, count in counts.items() if count == error.shown]
    pairs = [f"{a} beside {b}" for a, b in method.routes.values() if counts[a] + counts[b] == error.shown]
    shown = f"{error.shown} channel{'s' * (error.shown != 1)}"
    if len(images) == 1 or (pairs and not images):
        shown = f"{[*images, *pairs][0]} ({shown})"
    _, route, tensor = failed[0]
    of = f" of {domain}" if domain else ""
    terms = [term.name for term in phase.terms if term.route == route and failed[-1][2] in term.arguments]
    if pairs and not images:
        fix = f"say that it sees pairs: --set networks.{role}.channels=pair"
    elif counts.get(domain) == error.channels and terms:
        fix = f"--drop {phase.name}.{terms[0]}"
    else:
        has = ", ".join(f"{name} {count}" for name, count in counts.items())
        fix = f"make them agree, by `channels` or `width`; images have these channels: {has}"
    return RecipeError(f"{tensor} feeds {shown} to the {role}{of} ({error.channels})", fix=fix)
