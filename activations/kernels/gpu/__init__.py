"""The GPU implementation: Triton kernels with the cell's activations inlined."""
