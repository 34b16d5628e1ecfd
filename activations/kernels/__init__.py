"""GRU recurrences: one contract, three interchangeable implementations."""
