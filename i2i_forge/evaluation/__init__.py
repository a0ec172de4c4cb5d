"""Measuring translations: where they come from, how metrics see them, how numbers are recorded and compared."""
