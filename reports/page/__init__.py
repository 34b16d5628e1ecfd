"""The page of a report, its tables and its methods paragraph."""
