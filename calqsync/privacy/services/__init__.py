"""Writes of this room, a module a subject; import the modules."""
