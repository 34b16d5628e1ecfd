"""What is trained on: the protocol, its examples and folds, and the members that draw from them."""
