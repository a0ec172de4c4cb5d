"""Metrics: one file, one plugin; two_samples, mode_sums and lpips_pairs are what some of them share or compute with."""
