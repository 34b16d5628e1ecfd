"""Training of a stack: members in, one result for each out."""
