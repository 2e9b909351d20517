"""Keys by which programs of members read their company: how they look, are made, and open it."""
