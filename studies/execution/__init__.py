"""Where stacks are trained: engines, their workers and devices."""
