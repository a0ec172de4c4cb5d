"""Python imports this at its start when the folder is on PYTHONPATH: it writes down what a process must not do.

Outside FAULTS_ALLOWED nothing may be opened for writing, no host may be contacted but this one, and no program started
but Python itself and those that its libraries ask about the machine. What happens otherwise goes to FAULTS_VIOLATIONS.
"""

import os
import sys

HARMLESS = ("uname", "ldconfig", "gcc", "cc", "g++", "c++", "ld", "objdump", "git", "lscpu", "nvidia-smi", "ps")
LIBRARIES = ("__pycache__", "/torchinductor_")  # torch makes this folder when it is imported
LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::")


def violation(event, arguments, allowed):
    """What is wrong with an audit event, or None."""
    path = _written(event, arguments)
    if path and not path.startswith(("/dev/", "/proc/", *allowed)) and not any(part in path for part in LIBRARIES):
        return f"{event} {path}"
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOCAL:
        return f"contacted {arguments[1]}"
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        program = os.path.basename(os.fsdecode(arguments[0]))
        if not program.startswith("python") and program not in HARMLESS:
            return f"started {program}"
    return "called os.system" if event == "os.system" else None


def _written(event, arguments):
    """What an event creates, changes or removes, or nothing."""
    if not arguments or not isinstance(arguments[0], (str, bytes)):
        return ""
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if opened or event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree"):
        return os.path.abspath(os.fsdecode(arguments[0]))
    return ""


def _watch(violations, allowed):
    inside = []

    def hook(event, arguments):
        if inside:
            return
        inside.append(event)
        try:
            if (found := violation(event, arguments, allowed)) is not None:
                with open(violations, "a") as file:
                    file.write(found + "\n")
        finally:
            inside.pop()

    sys.addaudithook(hook)


if "FAULTS_VIOLATIONS" in os.environ:
    _watch(os.environ["FAULTS_VIOLATIONS"], tuple(os.environ["FAULTS_ALLOWED"].split(os.pathsep)))
