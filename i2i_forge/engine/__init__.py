"""A method and its step: passes, trainer, inference, optimizers, averages, building and tracing."""
