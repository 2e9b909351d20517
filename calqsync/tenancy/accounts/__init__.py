"""How people sign in, and their own account."""
