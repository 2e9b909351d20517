"""Documents into the books: what is new is mapped and written in bulk, with its evidence.

Each function needs a running page (see `work`), writes nothing for what is already stored the
same, and counts what it did in the page's tallies.
"""
