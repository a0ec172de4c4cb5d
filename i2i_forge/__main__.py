"""`python -m i2i_forge` is `forge`."""

import sys


def main() -> None:
    """Run `forge`; an interrupt while its modules are imported ends it as quietly as any later one."""
    try:
        from i2i_forge.cli import main as forge

        forge()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
