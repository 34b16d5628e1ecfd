"""The CPU implementation: C with the cell's activations compiled into it at first use."""
