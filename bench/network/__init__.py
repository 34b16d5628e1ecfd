"""The networks that carry the recurrence: layers that compute a whole stack at once."""
