"""Every address of the product with its methods, roles, arguments and forms: the walks' one table.

A route, parameter or form that the table does not name fails the walk that meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from tests.architecture.world import Company

TENANT = "t/<slug:slug>/"
CONSOLE, ACCOUNTS, API = "admin/", "accounts/", "api/v1/"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

_READ = {"GET", "HEAD"}
_POST = {"POST"}
_BOTH = _READ | _POST
# The lowest role and the methods of each page of a company. Written down apart from the code, so
# that a role check that is lost there differs from here.
PAGES: dict[str, tuple[str, set[str]]] = {
    "financial": ("investor", _READ),
    "growth": ("investor", _READ),
    "board": ("investor", _READ),
    "cashflow": ("investor", _READ),
    "retention": ("investor", _READ),
    "segments": ("investor", _READ),
    "economics": ("investor", _READ),
    "recognition": ("investor", _READ),
    "overdue": ("investor", _READ),
    "deferred_customers": ("viewer", _READ),
    "deferred_invoices": ("viewer", _READ),
    "api_figures": ("investor", _READ),
    "behind": ("viewer", _READ),
    "customer_months": ("viewer", _READ),
    "customers": ("viewer", _READ),
    "customer": ("viewer", _READ),
    "customer_merge": ("member", _POST),
    "quality": ("viewer", _READ),
    "quality_subscriptions": ("viewer", _READ),
    "quality_credits": ("viewer", _READ),
    "products": ("viewer", _READ),
    "product": ("viewer", _READ),
    "products_mark": ("member", _POST),
    "subscriptions": ("viewer", _READ),
    "subscription": ("viewer", _READ),
    "subscriptions_say": ("member", _POST),
    "subscription_edit": ("member", _POST),
    "subscriptions_review": ("viewer", _READ),
    "subscription_merge": ("member", _POST),
    "subscription_rows": ("member", _POST),
    "edits": ("viewer", _READ),
    "edit_undo": ("member", _POST),
    "invoice_line": ("member", _BOTH),
    "invoices": ("viewer", _READ),
    "invoice": ("viewer", _READ),
    "payments": ("viewer", _READ),
    "restatements": ("investor", _READ),
    "restatement": ("viewer", _READ),
    "integrations": ("viewer", _READ),
    "connection": ("viewer", _READ),
    "connection_progress": ("viewer", _READ),
    "connection_rejected": ("viewer", _READ),
    "connection_run": ("viewer", _READ),
    "connection_document": ("member", _READ),
    "connection_retry": ("member", _POST),
    "connection_ignore": ("member", _POST),
    "connection_unignore": ("member", _POST),
    "connection_removals": ("admin", _BOTH),
    "connection_recheck": ("member", _POST),
    "connection_sync": ("member", _POST),
    "connection_cancel": ("member", _BOTH),
    "connection_pause": ("admin", _POST),
    "connection_resume": ("admin", _POST),
    "connection_schedule": ("admin", _POST),
    "connection_rename": ("admin", _POST),
    "connection_reconnect": ("admin", _POST),
    "connection_rights": ("admin", _POST),
    "connection_disconnect": ("admin", _BOTH),
    "connect_start": ("admin", _POST),
    "connect_key": ("admin", _BOTH),
    "connect_confirm": ("admin", _BOTH),
    "plan": ("viewer", _READ),
    "plan_choose": ("owner", _POST),
    "settings_company": ("admin", _BOTH),
    "settings_team": ("viewer", _READ),
    "settings_figures": ("viewer", _READ),
    "settings_figures_save": ("admin", _POST),
    "team_invite": ("admin", _POST),
    "invitation_resend": ("admin", _POST),
    "invitation_revoke": ("admin", _POST),
    "member_edit": ("admin", _BOTH),
    "settings_security": ("viewer", _READ),
    "support_consent": ("admin", _POST),
    "support_answer": ("admin", _POST),
    "support_end": ("admin", _POST),
    "two_step_rule": ("admin", _POST),
    "settings_audit": ("admin", _READ),
    "settings_tokens": ("investor", _READ),
    "token_create": ("investor", _POST),
    "token_revoke": ("investor", _POST),
    "settings_data": ("investor", _READ),
    "export_create": ("owner", _POST),
    "export_progress": ("owner", _READ),
    "export_download": ("owner", _POST),
    "export_delete": ("owner", _POST),
    "company_delete": ("owner", _BOTH),
    "company_keep": ("owner", _POST),
    "contact_erase": ("admin", _BOTH),
}

# Which thing of a company the `public_id` of a route names.
_NAMES = {
    "customer": "customer",
    "customer_merge": "customer",
    "product": "product",
    "subscription": "subscription",
    "subscription_edit": "subscription",
    "subscription_merge": "subscription",
    "subscription_rows": "subscription",
    "edit_undo": "edit",
    "invoice_line": "invoice",
    "invoice": "invoice",
    "restatement": "restatement",
    "connect_confirm": "flow",
    "invitation_resend": "invitation",
    "invitation_revoke": "invitation",
    "member_edit": "member",
    "support_answer": "grant",
    "support_end": "grant",
    "company_leave": "own membership",
    "export_download": "export",
    "export_delete": "export",
    "contact_erase": "customer",
    "token_revoke": "token",
    "api_v1_customer": "customer",
    "api_v1_subscription": "subscription",
    "api_v1_product": "product",
    "api_v1_invoice": "invoice",
}

Form = Callable[[Company], dict[str, Any]]


def _id(kind: str, name: str, **more: str) -> Form:
    return lambda company: {name: company.id_of(kind), **more}


def _fixed(**values: str) -> Form:
    return lambda company: dict(values)


# A form of each page that would be accepted: with a company's own ids, from a person who may.
FORMS: dict[str, Form] = {
    "products_mark": lambda company: {
        "save": company.id_of("product"),
        f"mark-{company.id_of('product')}": "one_off",
        "seen": "yes",
    },
    "subscriptions_say": lambda company: {
        "say": f"reject:{company.id_of('subscription')}",
        "seen": "yes",
    },
    "subscription_edit": _fixed(period_months="3", paused="on", seen="yes"),
    "subscription_merge": _fixed(into="apart", seen="yes"),
    "subscription_rows": lambda company: {
        "row": f"{company.id_of('invoice')}:0",
        "to": "own",
        "seen": "yes",
    },
    "customer_merge": _fixed(say="part", seen="yes"),
    "edit_undo": _fixed(),
    "settings_figures_save": _fixed(save="baremetrics", seen="yes"),
    "invoice_line": _fixed(what="usage", seen="yes"),
    "connection_retry": _id("rejection", "document"),
    "connection_ignore": _id("rejection", "document", why="A test of ours"),
    "connection_unignore": _id("ignored rejection", "document"),
    "connection_removals": _fixed(),
    "connection_recheck": _fixed(),
    "connection_sync": _fixed(),
    "connection_cancel": _fixed(),
    "connection_pause": _fixed(reason="Closing the books"),
    "connection_resume": _fixed(),
    "connection_schedule": _fixed(every="24"),
    "connection_rename": _fixed(name="Another name"),
    "connection_reconnect": _fixed(),
    "connection_rights": _fixed(),
    "connection_disconnect": _fixed(books="delete"),
    "connect_start": _fixed(),
    "connect_key": _id("connection", "connection", key="a-key-that-nobody-made-0123456789"),
    "connect_confirm": _fixed(name="Another name"),
    "plan_choose": _fixed(plan="growth"),
    "settings_company": _fixed(
        name="Another Oy", currency="SEK", time_zone="Europe/Stockholm", fiscal_year_start="4"
    ),
    "team_invite": _fixed(email="someone@else.example", role="viewer"),
    "invitation_resend": _fixed(),
    "invitation_revoke": _fixed(),
    "member_edit": _fixed(role="member"),
    "support_consent": _fixed(consent="on"),
    "support_answer": _fixed(answer="approve"),
    "support_end": _fixed(),
    "two_step_rule": _fixed(required="on"),
    "token_create": _fixed(name="Sheet", scopes="figures:read", days="30"),
    "token_revoke": _fixed(),
    "export_create": _fixed(),
    "export_download": _fixed(),
    "export_delete": _fixed(),
    "company_delete": lambda company: {"name": company.tenant.name},
    "company_keep": _fixed(),
    "contact_erase": lambda company: {"name": company.things["customer"].name},
}


@dataclass(frozen=True, slots=True)
class Route:
    """One address: its pattern, its name, and the parameters that it takes."""

    pattern: str
    name: str
    view: Any
    parameters: tuple[tuple[str, str], ...]
    """(converter, name) in the order of the address."""

    @property
    def of_company(self) -> bool:
        return self.pattern.startswith(TENANT)

    def path(self, company: Company, *, slug: str = "") -> str:
        """The address with this company's ids, or another company's `slug` before them."""
        values = {
            name: slug if name == "slug" and slug else argument(self, converter, name, company)
            for converter, name in self.parameters
        }
        return "/" + _filled(self.pattern, values)


def routes() -> list[Route]:
    """Every route of the resolver, third parties' included."""
    found = list(_walk(get_resolver().url_patterns, "", ()))
    assert len(found) > 120, "the walk found hardly any address, so it guards nothing"
    return found


def pages() -> list[Route]:
    """The routes below a company's address."""
    return [route for route in routes() if route.of_company]


def _walk(patterns: Any, prefix: str, above: tuple[tuple[str, str], ...]) -> Iterator[Route]:
    for item in patterns:
        own = item.pattern
        if isinstance(own, RoutePattern):
            names = [(type(one).__name__, name) for name, one in own.converters.items()]
        else:
            names = [("regex", name) for name in own.regex.groupindex]
        parameters = (*above, *names)
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, prefix + str(own), parameters)
        elif isinstance(item, URLPattern):
            yield Route(prefix + str(own), item.name or "", item.callback, parameters)


def _filled(pattern: str, values: dict[str, str]) -> str:
    """The pattern as an address; understands Django's two kinds of patterns."""
    made = pattern
    for name, value in values.items():
        for start in (f"(?P<{name}>", f":{name}>", f"<{name}>"):
            if start not in made:
                continue
            before, _, after = made.partition(start)
            if start.startswith("(?P"):
                made = before + value + _after_group(after)
            else:
                made = (
                    before[: before.rindex("<")] + value + after
                    if start[0] == ":"
                    else (before + value + after)
                )
            break
    return made.replace("^", "").replace("$", "")


def _after_group(text: str) -> str:
    depth = 1
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return text[place + 1 :]
    raise AssertionError(text)


class NoCase(AssertionError):
    """A route takes something that this table does not know."""


def argument(route: Route, converter: str, name: str, company: Company) -> str:
    """What this route takes under this name, of this company."""
    match name:
        case "slug":
            return company.slug
        case "public_id":
            return company.id_of(_thing(route))
        case "run":
            return company.id_of("run")
        case "document":
            return company.id_of("rejection")
        case "hold":
            return company.id_of("removalhold")
        case "token":
            # The secret itself opens what it opens; what the company shows elsewhere must not.
            return company.id_of("invitation")
        case "figure":
            return "mrr"
        case "month":
            return "2026-02"
        case "dimension":
            return "product"
        case "position":
            return "0"
        case "dimension":
            return "product"
        case "object_id":
            return str(_of_model(_model_of(route), company))
        case "tenant_id":
            return str(company.tenant.pk)
        case "content_type_id":
            found = apps.get_model("contenttypes", "ContentType").objects
            return str(found.get(app_label="integrations", model="invoice").pk)
        case "app_label":
            return "integrations"
        case "url":
            return f"integrations/invoice/{company.things['invoice'].pk}/change/"
        case "uidb36":
            return "1"
        case "pk":
            return str(company.things[_numbered(route)].pk)
        case "name" if converter in {"SlugConverter", "StringConverter"}:
            return "job-retry"
        case "target":
            return str(company.things["connection"].pk)
        case "key":
            return uuid4().hex
    raise NoCase(f"{route.pattern} takes {name}, for which the walks have no case")


def _thing(route: Route) -> str:
    if route.name in _NAMES:
        return _NAMES[route.name]
    if route.name.startswith("connection"):
        return "connection"
    raise NoCase(f"{route.pattern} names a thing, for which the walks have no case")


def _numbered(route: Route) -> str:
    if route.name == "session_end":
        return "session"
    if "webauthn" in route.pattern:
        return "second step"
    raise NoCase(f"{route.pattern} takes a number, for which the walks have no case")


def _model_of(route: Route) -> Any:
    for model in admin.site._registry:
        meta = model._meta
        if f"/{meta.app_label}/{meta.model_name}/" in f"/{route.pattern}":
            return model
    return apps.get_model("integrations", "Invoice")


def _of_model(model: Any, company: Company) -> Any:
    """The key of the company's row in a table of the console."""
    if model is type(company.tenant):
        return company.tenant.pk
    if model is type(company.people["owner"]):
        return company.people["owner"].pk
    if model is Session:
        return uuid4().hex
    for thing in company.things.values():
        if isinstance(thing, model):
            return thing.pk
    raise NoCase(f"the console shows {model}, of which the world holds no thing")
