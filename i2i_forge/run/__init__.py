"""One run's folder: the loop, records, checkpoints, those of other programs, replay."""
