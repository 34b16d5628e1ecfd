"""From a speech corpus to trained and scored members."""
