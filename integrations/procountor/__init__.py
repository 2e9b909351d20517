"""A client for Procountor's REST API that knows nothing of our tables or of Django.

Four parts, each usable alone: `transport` (one request), `auth` (both grants), `paging` (the
next page) and `resources` (what the API has, as frozen `records`). Failures are `errors`.
"""
