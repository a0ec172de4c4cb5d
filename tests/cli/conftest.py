"""`forge` called in this process, as the tests of commands need it."""

import pytest

from i2i_forge.cli import main


@pytest.fixture
def forge(capsys):
    """Runs a command: (exit code, stdout, stderr)."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "--debug ...` shows the traceback" not in err
        return ended.value.code, out, err

    return call
