"""Scores, statistics, figures, tables and the page."""
