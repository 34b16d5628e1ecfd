"""Acoustic features and the store that keeps them."""
