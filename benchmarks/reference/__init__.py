"""Plain training steps without the engine, written for comparison."""
