"""CUDA rehearsed on a machine without a GPU: real code on fake CUDA tensors, which have shapes and no values.

Exact: which operations run, on which devices, where the host waits, and how many bytes operations read and write. An
estimate: kernels, counted by operation as torch's eager kernels are written. Nothing is computed, and nothing timed.
"""
