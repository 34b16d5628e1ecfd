"""Activations as formulas, and the GRUs they are put into."""
