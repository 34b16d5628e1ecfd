"""Everything that measures time; nothing that users build upon imports it."""
