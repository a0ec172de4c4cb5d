"""Files from the web: downloads, and what archives hold."""
