"""Takes one protection away at a time and shows that a test notices: `manage.py mutation`."""
