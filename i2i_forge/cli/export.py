"""forge export"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from i2i_forge.cli import FilePath, json_option
from i2i_forge.cli.common import loaded_host, note_loaded, print_json
from i2i_forge.cli.output import final_line


@click.command("export")
@click.argument("run", type=FilePath())
@click.option("--out", required=True, metavar="FILE.pt2", type=FilePath(), help="The file to write.")
@click.option("--route", default="ab", show_default=True, help="The direction: ab is from domain a to b.")
@json_option
def command(run: Path, out: Path, route: str, as_json: bool) -> None:
    """Write RUN's translator as a program that needs PyTorch alone, for any batch and size, and check it.

    \b
    program = torch.export.load("FILE.pt2").module()
    y = program(x, style)    # x: N,C,H,W in [-1, 1], style: N,dim; of a deterministic method program(x)

    H and W are multiples of the networks' stride, which is printed.
    """
    from i2i_forge.system.outputs import refuse_to_replace
    from i2i_forge.translate.export import export, is_export
    from i2i_forge.translate.loading import load

    refuse_to_replace([out], is_export)
    translator = load(run, "cpu", loaded_host().catalog)
    note_loaded(run, translator)
    found = export(translator, out, route)
    if as_json:
        print_json({"file": str(out), **asdict(found)})
        return
    sizes = ", ".join("x".join(map(str, shape)) for shape in found.checked)
    code = f" and {found.inputs[1]} {found.code}" if found.code else ""
    channels = found.checked[0][1]
    final_line(
        f"{out}: source N,{channels},H,W{code}; H and W multiples of {found.stride}, at least {found.smallest}\n"
        f"largest difference {found.difference:.1e}, of {sizes}"
    )
