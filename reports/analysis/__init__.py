"""Everything a report says, computed once."""
