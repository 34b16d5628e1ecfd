"""Compiled C beside the layers of `bench.network`, one module each of the same name."""
