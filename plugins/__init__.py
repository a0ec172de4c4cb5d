"""The project's plugins: one file (or folder), one plugin. Each is found through the entry-point group `i2i_forge`.

`metrics/` holds a plugin a file. Two folders hold none: `backbones/`, the networks with published weights that losses
and metrics share, and `plain_steps/`, which `forge bench` measures the engine's steps beside.
"""
