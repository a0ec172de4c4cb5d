"""`forge` in a process of its own."""

import os
import subprocess
import sys

import pytest

TELL_TORCH = "import atexit, sys; atexit.register(lambda: sys.stderr.write('TORCH' * ('torch' in sys.modules)))\n"


@pytest.fixture
def forge_process(tmp_path):
    """Runs a command in a process of its own, which writes TORCH to stderr if it has imported torch."""
    (tmp_path / "sitecustomize.py").write_text(TELL_TORCH)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def call(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "i2i_forge", *arguments],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path, **environment},
        )  # fmt: skip

    return call
