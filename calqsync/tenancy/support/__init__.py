"""How support staff help: their console, and looking in by a grant."""
