"""Row-level security, the database roles, and the audit of the catalog."""
