"""CalqSync: accounting to analytics."""
