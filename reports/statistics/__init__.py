"""Statistics of paired scores over folds: pure functions on arrays, one concept per module."""
