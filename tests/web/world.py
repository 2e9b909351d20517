"""A company whose every free text is hostile, and the addresses of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction

from calqsync.tenancy import scope
from tests.architecture import routes as table
from tests.conftest import Cast, make_cast, superuser_connection
from tests.factories import (
    Row,
    account_make,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)
from tests.reporting.conftest import refreshed

# Breaks out of an attribute, of a script, of a template; bidi override, zero width, formula.
HOSTILE = (
    "\"><img src=x onerror=hit()></script><script>hit()</script>'`{{7*7}}${7*7}"
    "\u202etfel\u2066\u200b\ufeff=1+1 javascript:hit() --><svg onload=hit()>"
)
TEMPLATE = "{{7*7}}"
# Columns that people or Procountor write freely, in whatever table they stand.
FREE = {
    *("name", "customer_name", "company_name", "bank_name", "actor_name", "display_name"),
    *("city", "country", "group", "number", "customer_number", "code", "product_code", "unit"),
    *("text", "target", "detail", "reason", "note", "label", "description", "email"),
}
NOT_FREE = {
    ("tenancy_user", "email"): "an address that the person has proven",
    ("account_emailaddress", "email"): "the same address",
    ("integrations_invoiceline", "unit"): "one of Procountor's units, checked at import",
    ("integrations_product", "unit"): "one of Procountor's units, checked at import",
}
SKIP_TABLES = ("django_", "auth_", "jobs_", "socialaccount", "usersessions", "mfa_")


@dataclass
class World:
    """The committed company, and what leads to each of its pages."""

    cast: Cast
    ids: dict[str, UUID]

    def paths(self) -> Iterator[str]:
        """The address of every page of the company, each with an id that exists."""
        slug = self.cast.tenant.slug
        for page in table.pages():
            known = self.ids.get(_kind(page.pattern, page.name))
            yield address(page, slug, **({"public_id": str(known)} if known else {}))


def address(route: table.Route, slug: str, **known: str) -> str:
    """An address of this route; what is not `known` names nothing that there is."""
    values = {"slug": slug, "figure": "mrr", "month": "2026-02", **known}
    for converter, name in route.parameters:
        values.setdefault(name, str(uuid4()) if converter == "UUIDConverter" else "1")
    return "/" + table._filled(route.pattern, values)


def _kind(route: str, name: str) -> str:
    """Which kind of thing the id in a route names."""
    for part, kind in (
        ("settings/integrations/connect/", "flow"),
        ("settings/integrations/", "connection"),
        ("settings/team/invitations/", "invitation"),
        ("settings/team/members/", "membership"),
        ("customers/", "customer"),
        ("products/", "product"),
        ("subscriptions/", "subscription"),
        ("invoices/", "invoice"),
    ):
        if part in route:
            return kind
    return name


def make_world(database: str, *, hostile: bool) -> World:
    """A committed company with figures; with `hostile`, each of its free texts attacks."""
    from calqsync.tenancy.models import Invitation, Membership
    from reporting.models import Subscription

    with transaction.atomic():
        cast = make_cast()
    with scope.tenant(cast.tenant.pk):
        with transaction.atomic():
            ids = _books_of(cast)
        if hostile:
            assert make_hostile(database) > 15, "hardly any column was found"
        with transaction.atomic():
            refreshed()
            ids["invitation"] = Invitation.objects.get().public_id
            ids["membership"] = Membership.objects.get(user=cast.bob).public_id
            ids["subscription"] = Subscription.objects.all()[0].public_id
    return World(cast, ids)


def _books_of(cast: Cast) -> dict[str, UUID]:
    from calqsync.tenancy.models import Invitation
    from calqsync.tenancy.services import audit

    connection = connection_make()
    connection_make("US account")
    product = product_make(connection)
    customer = customer_make(connection, "Aalto Oy")
    (invoice, *_rest) = monthly_make(customer, product, ["2026-01", "2026-02", "2026-03"])
    payment_make(invoice, "2026-01-20", "100.00")
    gone = customer_make(connection, "Berg Oy")
    monthly_make(gone, product, ["2025-11", "2025-12"], net="50.00")
    invoice_make(customer, "2026-01-05", [Row(net="500.00", name="Aloitus")])
    account = account_make(connection)
    statement_make(account, "2026-01-01", "2026-01-31", "9000.00", [("2026-01-10", "-9.00")])
    Invitation.objects.create(
        email="guest@example.com",
        role="viewer",
        token_hash="1" * 64,
        invited_by=cast.alice,
        expires_at="2099-01-01T00:00:00Z",
    )
    audit(act="connection.renamed", by=cast.alice, target="EU account", after={"name": HOSTILE})
    return {
        "connection": connection.public_id,
        "customer": customer.public_id,
        "product": product.public_id,
        "invoice": invoice.public_id,
    }


def make_hostile(database: str) -> int:
    """Write the hostile text into every free column of every row; tells how many columns."""
    connection = superuser_connection(database)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, coalesce(character_maximum_length, 2000)"
            " FROM information_schema.columns c JOIN pg_tables t"
            " ON t.tablename = c.table_name AND t.schemaname = 'public'"
            " WHERE c.table_schema = 'public' AND data_type IN ('text', 'character varying')"
        )
        columns = [
            (table, column, length)
            for table, column, length in cursor.fetchall()
            if column in FREE
            and (table, column) not in NOT_FREE
            and not table.startswith(SKIP_TABLES)
        ]
        cursor.execute("SET session_replication_role = replica")  # append-only tables as well
        for table, column, length in columns:
            cursor.execute(
                f'UPDATE "{table}" SET "{column}" = left(id || %s, %s) WHERE "{column}" <> %s',
                [HOSTILE, length, ""],
            )
    connection.close()
    return len(columns)
