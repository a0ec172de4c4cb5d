"""Measurements of i2i_forge: each writes its numbers, with commit and command, under results/."""
