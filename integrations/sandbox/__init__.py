"""A stand-in for Procountor over real HTTP, for the demo, tests and benchmarks.

`build_company` makes a deterministic company with documents and the truth about them;
`start_server` serves companies; `python -m integrations.sandbox` does so as its own process.
"""

from integrations.sandbox.company import Company
from integrations.sandbox.model import Profile, RowTruth
from integrations.sandbox.profiles import PROFILES, build_company
from integrations.sandbox.server import Handle, start_server

__all__ = [
    "PROFILES",
    "Company",
    "Handle",
    "Profile",
    "RowTruth",
    "build_company",
    "start_server",
]
