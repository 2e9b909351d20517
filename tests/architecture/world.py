"""Two companies side by side: one marked in every row, and its neighbour.

`marked` holds a row in every table with a tenant. Its texts carry one of two words, by who may see
them beside its own members: `books` nobody, `directory` also support staff in their console. Its
amounts occur nowhere else. The neighbour is built the same way, from other words and amounts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from calqsync.tenancy.models import Role
from tests.conftest import SignedInClient

NOON = datetime(2026, 3, 15, 10, 0, tzinfo=UTC)
BOOKS, DIRECTORY = "qzabooks", "qzadirectory"
# A word of the marked company's texts which is no marker, so that a search for it may be echoed.
WORD = "Ydinkaneli"
TOKEN, STATE = "qzabooks-invitation-token", "qzabooks-connect-state"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one company's texts and amounts are made of."""

    books: str
    directory: str
    word: str
    month: Decimal
    token: str
    state: str
    # As long as the other company's, so that neither outgrows a column first.
    host: str

    def text(self, *parts: str) -> str:
        return " ".join([self.books, self.word, *parts])

    def listed(self, *parts: str) -> str:
        return " ".join([self.directory, *parts])


MARKED = Words(
    books=BOOKS,
    directory=DIRECTORY,
    word=WORD,
    month=Decimal("734917.31"),
    token=TOKEN,
    state=STATE,
    host=f"{DIRECTORY}.example",
)
PLAIN = Words(
    books="Viereinen",
    directory="Naapuri",
    word="Kardemumma",
    month=Decimal("212.40"),
    token="neighbour-invitation-token",
    state="neighbour-connect-state",
    host="neighbour.example",
)


@dataclass
class Company:
    """One tenant with one person a role and one thing of each kind that an address can name."""

    words: Words
    tenant: Any
    people: dict[str, Any]
    things: dict[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return str(self.tenant.slug)

    def id_of(self, kind: str) -> str:
        return str(self.things[kind].public_id)


@dataclass
class World:
    """Both companies, and members of staff with and without a grant in the marked one."""

    marked: Company
    neighbour: Company
    staff: Any
    helper: Any
    grant: Any


ROLES = [role.value for role in Role]
VISITORS = [*ROLES, "staff", "signed out"]


def seen_by(company: Company, role: str) -> Company:
    """The company with the walk that this role's person began, where they may, and their token."""
    own = {
        "flow": company.things.get(f"flow:{role}", company.things["flow"]),
        "token": company.things[f"token:{role}"],
    }
    return replace(company, things=company.things | own)


def signed_in(person: Any) -> SignedInClient:
    """A browser of this person; None is nobody. A page that breaks answers 500."""
    client = SignedInClient(raise_request_exception=False)
    if person is not None:
        client.force_login(person)
    return client


def visitor(world: World, who: str) -> Any:
    """One of those who have no business in the marked company; None is nobody."""
    return world.staff if who == "staff" else world.neighbour.people.get(who)


def tables(truth: Any) -> list[str]:
    """Every table with a tenant column, as the catalog has it."""
    truth.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT a.attisdropped"
    )
    found = sorted(name for (name,) in truth.fetchall())
    assert len(found) > 30, "the walk found hardly any table, so it guards nothing"
    return found


def fingerprint(truth: Any, company: Company) -> dict[str, tuple[int, str]]:
    """Count and hash of the company's rows in every table, and of its own row and people."""
    people = [person.pk for person in company.people.values()]
    parts = [(name, f"tenant_id = {company.tenant.pk}") for name in tables(truth)]
    parts += [("tenancy_tenant", f"id = {company.tenant.pk}")]
    parts += [("tenancy_user", f"id = ANY(ARRAY{people})")]
    parts += [("account_emailaddress", f"user_id = ANY(ARRAY{people})")]
    parts += [("mfa_authenticator", f"user_id = ANY(ARRAY{people})")]
    parts += [("usersessions_usersession", f"user_id = ANY(ARRAY{people})")]
    made = " UNION ALL ".join(
        f"SELECT '{name}', count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
        f' FROM "{name}" t WHERE {where}'
        for name, where in parts
    )
    truth.execute(made)
    return {name: (count, digest or "") for name, count, digest in truth.fetchall()}
