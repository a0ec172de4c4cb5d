"""The second half of `make demo`: translate with the trained run and say where the pictures are.

python -m i2i_forge_benchmarks.demo DIR      DIR/run is the run, DIR/translations gets the pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.images import save_png
from i2i_forge.run.streams import build_streams
from i2i_forge.translate.files import translate_files
from i2i_forge.translate.loading import load


def main(root: Path) -> None:
    """Write test drawings, translate each in eight styles, and make an interpolation."""
    run, inputs, out = root / "run", root / "drawings", root / "translations"
    translator = load(run)
    _, (drawings, *_) = build_streams(translator.recipe, load_plugins().catalog)
    for index in range(8):
        save_png(drawings.example(index, None)["a"], inputs / f"shoe-{index}.png")
    translate_files(translator, [inputs], out, styles=8)
    translate_files(translator, [inputs], root / "interpolation", interpolate=8)
    click.echo(f"""
The pictures are in {root}:
  {run}/samples/          the same drawings and styles from step 0 to the last; compare the first and the last
  {out}/sheet.png         eight new drawings, each in eight styles
  {root}/interpolation/sheet.png   from one style to another
Next: forge translate {run} {inputs} --styles 12 --seed 5 --out more""")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
