"""Plain training steps of the methods, without the engine: what `forge bench` measures ours beside.

They are no plugin: the command finds them, as it would find those of other methods, through the entry-point group
`i2i_forge.plain_steps`, whose entries map the name of a recipe to its step.
"""
