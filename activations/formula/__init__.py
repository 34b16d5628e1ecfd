"""An activation as a formula: written once, and everything else derived from it."""
