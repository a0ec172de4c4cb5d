"""What every measurement states: date, commit, hardware, versions, command; and how much memory a process holds."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

# Large blocks go back to the system at once, so that what is resident is what is held, to a thousandth.
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def provenance(*packages: str, device: str = "cpu", program: str = "forge") -> list[str]:
    """Markdown lines that say where a result comes from.

    Args:
        packages: whose versions matter beside torch's.
        device: that was measured.
        program: that was run, with the arguments of this process.
    """
    on_cpu = f"{processor()}, {torch.get_num_threads()} threads"
    versions = [f"torch {torch.__version__}", *(f"{name} {metadata.version(name)}" for name in packages)]
    return [
        f"- date: {datetime.date.today()}",
        f"- commit: {_commit()}",
        f"- hardware: {torch.cuda.get_device_name() if device != 'cpu' else on_cpu}",
        f"- {', '.join(versions)}, Python {platform.python_version()}",
        f"- command: `{shlex.join([*program.split(), *sys.argv[1:]])}`",
        "",
    ]


def _commit() -> str:
    """The commit of the sources, and whether they differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty= and uncommitted changes"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent).stdout
    return said.strip() or "unknown"


def processor() -> str:
    """The processor with the vector instructions that torch uses."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            capability = torch.backends.cpu.get_cpu_capability()
            return f"{line.partition(':')[2].strip()} ({capability})"
    return platform.processor()


def memory(field: str) -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at most."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(f"{field}:")).split()[1]) * 1024


def forget_peak() -> None:
    """Let "VmHWM" begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def in_a_process(module: str, *arguments: str, **environment: str) -> Any:
    """What a module, run with these arguments in a process of its own, prints as JSON; its memory is exact."""
    command = [sys.executable, "-m", module, *arguments]
    settings = {**os.environ, **EXACT_MEMORY, **environment}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=settings).stdout)
