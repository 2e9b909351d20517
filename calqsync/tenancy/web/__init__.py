"""What every request and answer is held to."""
