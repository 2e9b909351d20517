"""Who did what: what each row takes along, and how it is read."""
