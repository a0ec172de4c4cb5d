"""What a run says of a step that was not finite, and writes down to look into it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from i2i_forge.data.stream import Stream
from i2i_forge.engine.divergence import NotFiniteError
from i2i_forge.errors import DivergedError
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.streams import image_names
from i2i_forge.system.files import one_line, write_whole


@contextmanager
def divergence_told(
    streams: Mapping[str, Stream], folder: RunFolder, follow: Callable[[], None] | None
) -> Iterator[None]:
    """A step that is not finite is told with its images and how to see it again.

    Args:
        streams: the images come from there.
        folder: of the run; diverged.json is there whole afterwards or as it was, a full disk costs no more than that.
        follow: looks before anything is written; None on a rank that writes nothing.
    """
    try:
        yield
    except NotFiniteError as error:
        images = image_names(streams, error.step, error.ranks)
        if follow:
            follow()
            with suppress(OSError):
                record = json.dumps({**error.record, "images": images}, indent=2)
                write_whole(folder.path / "diverged.json", record + "\n")
        shown, run = one_line(", ".join(images[:8])), shlex.quote(str(folder.path))
        raise DivergedError(
            f"{error.message}\nimages of this step: {shown}{' ...' if len(images) > 8 else ''}",
            fix=f"see it again with `forge checkpoint replay {run} --step {error.step}`, diverged.json there has the "
            "numbers; a new --run with a lower rate or weight may --init-from this one",
        ) from error
