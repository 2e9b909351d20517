"""What people said about the figures, as edits: which act, about what, by whom, undone or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.template.loader import get_template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.audit.words import act_words
from calqsync.tenancy.models import Tenant
from integrations.models import Customer, InvoiceLine, Product
from reporting.domain.choices import SubscriptionKey
from reporting.models import Edit, Subscription
from reporting.selectors import frame, listing
from reporting.selectors.frame import Words
from reporting.selectors.listing import Column, Listing

_NAMED = 3
"""Things that an edit names; of more it says how many."""


# Settings that members change while they review; the others, and costs, are the admins'.
_OF_MEMBERS = {"default_period_months"}


def of_admins(edit: Any) -> bool:
    """Whether the edit changed what only admins change, so that only they undo it."""
    if "costs" in edit.after:
        return True
    rows = edit.after.get("settings", {})
    for key, now in rows.items():
        now, was = now or {}, edit.before["settings"][key] or {}
        if {name for name in {*now, *was} if now.get(name) != was.get(name)} - _OF_MEMBERS:
            return True
    return False


def edits_list(
    *, tenant: Tenant, query: Mapping[str, str], buttons: bool, admin: bool = False
) -> Listing:
    """All edits, newest first; with `buttons` those that stand can be undone, by an `admin` also
    the admins'."""
    words = frame.words_for(tenant)
    columns = [
        listing.text("act", _("What"), lambda row: act_words(row.act), order="act"),
        listing.text("about", _("About"), lambda row: row.about),
        listing.text("by", _("Who"), who, order="by__email"),
        listing.text("at", _("When"), lambda row: words.moment(row.at), order="at"),
        listing.text("state", _("State"), lambda row: state(row, words)),
    ]
    if buttons:
        columns.append(
            Column(
                key="undo",
                label=_("Undo"),
                value=lambda row: "",
                cell=lambda row: _button(row) if admin or not of_admins(row) else "",
                in_file=False,
            )
        )
    return Listing(
        caption=_("Edits"),
        rows=Edit.objects.select_related("by", "undone_by").defer(
            "by__password", "undone_by__password"
        ),
        columns=columns,
        default_sort="-at",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d edit", "%d edits", n) % n,
        url=lambda row: "",
        nothing={
            "icon": "audit",
            "title": _("Nothing was said yet"),
            "text": _("What people confirm, reject or change is listed here, and can be undone."),
            "url": reverse("subscriptions_review", args=[tenant.slug]),
            "action": _("Review subscriptions"),
        },
        prepare=name_things,
    )


def latest(tenant: Tenant, words: Words, count: int) -> list[dict[str, Any]]:
    """The newest of members' edits that stand: what, about, who, when, undo_url."""
    rows = Edit.objects.filter(undone_at=None).select_related("by").defer("by__password")
    found = [row for row in rows.order_by("-at", "-pk")[: 4 * count] if not of_admins(row)][:count]
    name_things(found)
    return [
        {
            "what": act_words(row.act),
            "about": row.about,
            "who": who(row),
            "when": words.moment(row.at),
            "undo_url": undo_url(tenant, row),
        }
        for row in found
    ]


def undo_url(tenant: Tenant, edit: Any) -> str:
    return reverse("edit_undo", args=[tenant.slug, edit.public_id])


def who(edit: Any) -> str:
    return str(edit.by) if edit.by else _("Someone")


def state(edit: Any, words: Words) -> str:
    if edit.undone_at is None:
        return _("Stands")
    by = str(edit.undone_by) if edit.undone_by else _("Someone")
    return _("Undone by %(who)s on %(when)s") % {"who": by, "when": words.moment(edit.undone_at)}


def _button(row: Any) -> Any:
    """A button of the page's one form, which says where it goes itself."""
    if row.undone_at is not None:
        return ""
    return get_template("reporting/subscriptions/_undo.html").render({"edit": row})


def name_things(edits: Sequence[Any]) -> None:
    """Give each edit `about`: the things it speaks of, by the names they have now.

    Edits hold ids and no names, so that nothing of a contact outlives its erasure here.
    """
    names = _names(edits)
    for edit in edits:
        things = [(table, key) for table, rows in edit.after.items() for key in rows]
        # A subscription made by hand has no name of its own yet; its rows have.
        known = list(dict.fromkeys(names[thing] for thing in things if thing in names))
        if len(known) > _NAMED:
            edit.about = ngettext("%d thing", "%d things", len(things)) % len(things)
        else:
            edit.about = ", ".join(known)


def _names(edits: Iterable[Any]) -> dict[tuple[str, str], str]:
    keys: dict[str, set[str]] = {}
    for edit in edits:
        for table, rows in edit.after.items():
            # Of an edit of hundreds, more names than are shown need not be known.
            keys.setdefault(table, set()).update(list(rows)[: _NAMED + 1])
    names: dict[tuple[str, str], str] = {}
    if wanted := keys.get("subscriptions"):
        names |= {("subscriptions", key): name for key, name in _subscriptions(wanted).items()}
    if wanted := keys.get("lines"):
        rows = InvoiceLine.objects.filter(pk__in=wanted).values_list(
            "pk", "name", "invoice__number"
        )
        for pk, name, number in rows:
            text = _("%(row)s on invoice %(number)s") % {"row": name, "number": number}
            names["lines", str(pk)] = text
    if wanted := keys.get("products"):
        for pk, name in Product.objects.filter(pk__in=wanted).values_list("pk", "name"):
            names["products", str(pk)] = name
    if wanted := keys.get("customers"):
        for pk, name in Customer.objects.filter(pk__in=wanted).values_list("pk", "name"):
            names["customers", str(pk)] = name
    for table in ("settings", "costs", "cash"):
        names |= {(table, key): "" for key in keys.get(table, ())}
    return {thing: name for thing, name in names.items() if name}


def _subscriptions(keys: set[str]) -> dict[str, str]:
    """By customer and product while they are published, by customer else."""
    about = _("%(customer)s: %(product)s")
    rows = Subscription.objects.filter(key__in=keys)
    found = {
        key: about % {"customer": customer, "product": product}
        for key, customer, product in rows.values_list("key", "customer__name", "product_name")
    }
    rest = {key: SubscriptionKey.parse(key).customer_id for key in keys - set(found)}
    if rest:
        names = Customer.objects.filter(pk__in=set(rest.values())).values_list("pk", "name")
        known = dict(names)
        found |= {key: known[pk] for key, pk in rest.items() if pk in known}
    return found
