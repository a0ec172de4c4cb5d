"""Runs as one HTML file that needs neither network nor scripts: objectives, numbers, samples, curves, environment."""
