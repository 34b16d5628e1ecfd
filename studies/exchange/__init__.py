"""A study's results as an open data set: written for others, read without executing anything."""
