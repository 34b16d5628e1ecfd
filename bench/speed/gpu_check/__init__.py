"""Everything there is to find out on a GPU, in one command: `make gpu-check`."""
