"""CUDA's choices without a GPU: which kernels are chosen asks a tensor where it is."""

from torch import Tensor


class OfCuda(Tensor):
    """A tensor of the processor that says it is on CUDA; so does what is computed from it."""

    is_cuda = True
