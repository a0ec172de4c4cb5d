"""`python -m i2i_forge` is `forge`."""

from i2i_forge.cli import main

main()
