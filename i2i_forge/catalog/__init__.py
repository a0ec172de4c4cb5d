"""What plugins bring: hooks, registries, how they are found, how their source is read."""
