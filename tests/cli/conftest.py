"""`forge` called in this process, as the tests of commands need it."""

import os
import subprocess
import sys

import pytest

from i2i_forge.cli import main

TELL_TORCH = "import atexit, sys; atexit.register(lambda: sys.stderr.write('TORCH' * ('torch' in sys.modules)))\n"


@pytest.fixture
def forge(capsys):
    """Runs a command: (exit code, stdout, stderr)."""

    def call(*arguments, is_accident=False):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "--debug" in arguments or "Traceback" not in err
        assert is_accident or "--debug ...` shows the traceback" not in err
        return ended.value.code, out, err

    return call


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
