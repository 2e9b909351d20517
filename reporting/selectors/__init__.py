"""What each page shows, as one complete object: read once, formatted once."""
