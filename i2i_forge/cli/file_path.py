"""Paths on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path. An empty one, as of a shell variable that is not set, is refused: it would be the current folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises click.BadParameter, exit code 2, when it is empty or not as the options ask for."""
        if value == "":
            self.fail("the path is empty: a shell variable may not be set; the current folder is `.`", param, ctx)
        return super().convert(value, param, ctx)
