"""Metrics: one file, one idea; each is a plugin."""
