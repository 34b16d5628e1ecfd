"""GRU recurrences: what they compute (`cell`), what runs them (`dispatch`), three times over."""
