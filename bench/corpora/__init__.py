"""Corpora: one table, one row per utterance, whatever the source."""
