"""Pages: each reads the request, asks one selector, renders."""
