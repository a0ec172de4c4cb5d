"""What other folders of tests offer."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))  # shrink.py
