"""What a person wants to say, as a change of rows: shown, saved and undone in one way.

A `Change` is nothing but the rows that it writes. Saving it, showing what it would do and taking
it back are therefore the same for every act, and a new act is one more function in `acts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy import scope
from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import BankEvent, Customer, InvoiceLine, Product
from reporting.domain.choices import NAMED, SubscriptionKey
from reporting.models import (
    AcquisitionCost,
    CashMark,
    CustomerMerge,
    CustomersApart,
    Edit,
    LineDecision,
    ProductMark,
    ReportSettings,
    SubscriptionDecision,
)
from reporting.services.refreshing import refresh_enqueue

Values = Mapping[str, Any]
"""Fields of a row as JSON has them: days are ISO strings."""
Rows = Mapping[str, Mapping[str, Values | None]]
"""By table and key; None where there is no row."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of people's words: what names a row in it, and what its fields say when blank."""

    model: type[Any]
    key: str
    blank: Mapping[str, Any]
    about: type[Any] | None = None
    """What the key is the id of; a word on something that is gone cannot be said again."""
    kept: bool = False
    """The row holds more than these fields, so it stays when they are blank."""

    def rows(self, keys: Iterable[str]) -> dict[str, Any]:
        """The rows with these keys, locked."""
        found = self.model.objects.select_for_update().filter(**{f"{self.key}__in": list(keys)})
        return {str(getattr(row, self.key)): row for row in found}

    def said(self, row: Any) -> dict[str, Any] | None:
        """What a row says, without what is blank; None for one that says nothing."""
        if row is None:
            return None
        values = {name: _plain(getattr(row, name)) for name in self.blank}
        return {n: value for n, value in values.items() if value != self.blank[n]} or None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


_SAID_OF_A_SUBSCRIPTION: dict[str, Any] = {
    "verdict": "",
    "period_months": None,
    "start": None,
    "end": None,
    "paused": False,
    "renewal_percent": None,
    "merged_into": "",
}
# Fields that hold the key of a subscription.
_KEYS = ("merged_into", "subscription_key")
_SAID_OF_A_LINE = {"type": "", "subscription_key": "", "start": None, "end": None}
SETTINGS = (
    *("threshold", "default_period_months", "burn_months", "burn_average", "tolerance_bp"),
    *("reactivation_months", "grace_days", "pause_handling", "free_plans", "overdue_days"),
    *("period_view", "recognition", "ltv", "gross_margin_bp", "cac_lag_months"),
)
TABLES: Mapping[str, Table] = {
    "subscriptions": Table(SubscriptionDecision, "key", _SAID_OF_A_SUBSCRIPTION),
    "lines": Table(LineDecision, "line_id", _SAID_OF_A_LINE, InvoiceLine),
    "products": Table(ProductMark, "product_id", {"mark": "", "period_months": None}, Product),
    "customers": Table(CustomerMerge, "customer_id", {"into_id": None}, Customer),
    "apart": Table(CustomersApart, "pair", {"customer_id": None, "other_id": None}),
    "costs": Table(AcquisitionCost, "month", {"amount_minor": None}),
    "cash": Table(CashMark, "event_id", {"financing": None}, BankEvent),
    "settings": Table(
        ReportSettings,
        "tenant_id",
        {name: getattr(ReportSettings(), name) for name in SETTINGS},
        kept=True,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that a person is about to say; nothing is written by making one.

    `rows` holds, by table and key, the fields to set; None takes back all that was said.
    """

    act: str
    """As `calqsync.tenancy.audit.words` knows it."""
    target: str = ""
    """What it is about, for the log."""
    rows: Rows
    counted: Mapping[str, Any] = field(default_factory=dict)
    """What the log says in place of every row, where there are many."""


class NotUndoable(Exception):
    """The edit cannot be taken back; `advice` says what to do instead."""

    advice: Any = ""


class TouchedSince(NotUndoable):
    advice = _("Something newer was said about the same things. Undo that first.")


class UndoneAlready(NotUndoable):
    advice = _("It has been undone already.")


class ThingsGone(NotUndoable):
    advice = _("What it was about is no longer in the books.")


@transaction.atomic
def change_save(*, change: Change, by: User) -> Edit | None:
    """Say it: written, audited, and the figures recomputed. None when it says nothing new.

    Raises ValidationError for values that no row may hold.
    """
    _one_merge_at_a_time(change.rows)
    before, after = rows_write(change.rows, by=by)
    if before == after:
        return None
    if _merged_into_merged():
        raise ValidationError(_("One of these customers was merged just now. Look at them again."))
    edit = Edit.objects.create(act=change.act, before=before, after=after, by=by)
    was, is_now = _for_the_log(before), _for_the_log(after)
    if change.counted:
        was, is_now = {}, dict(change.counted)
    audit(act=change.act, by=by, target=change.target, before=was, after=is_now)
    _refresh(before, after)
    return edit


@transaction.atomic
def edit_undo(*, edit: Edit, by: User) -> None:
    """Restore what was said before `edit`; raises NotUndoable, and then changes nothing."""
    _one_merge_at_a_time(edit.before)
    edit = Edit.objects.select_for_update().get(pk=edit.pk)
    if edit.undone_at is not None:
        raise UndoneAlready
    same = Q()
    for table, rows in edit.after.items():
        same |= Q(**{f"after__{table}__has_any_keys": list(rows)})
    if Edit.objects.filter(same, pk__gt=edit.pk, undone_at=None).exists():
        raise TouchedSince
    for table, rows in edit.after.items():
        if not _all_there(table, rows):
            raise ThingsGone
        held = TABLES[table].rows(rows)
        if any(TABLES[table].said(held.get(key)) != said for key, said in rows.items()):
            raise TouchedSince
    # Fields that were blank are set to blank: the row becomes what it was, not a mixture.
    rows_write(edit.before, by=by, whole=True)
    # A merge that is restored may name one that was merged elsewhere since: it names no whole.
    if _merged_into_merged():
        raise TouchedSince
    edit.undone_at, edit.undone_by = timezone.now(), by
    edit.save(update_fields=["undone_at", "undone_by"])
    audit(
        act="report.edit_undone",
        by=by,
        before=_for_the_log(edit.after),
        after=_for_the_log(edit.before),
    )
    _refresh(edit.before, edit.after)


def _one_merge_at_a_time(rows: Rows) -> None:
    """Wait for others who merge customers: two merges at once may make a circle or a chain."""
    if "customers" in rows:
        key = f"{scope.required()} merges"
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7261005))", [key])


def _merged_into_merged() -> bool:
    merged = CustomerMerge.objects.values("customer")
    return bool(CustomerMerge.objects.filter(into__in=merged).exists())


def customers_of(rows: Rows) -> set[int] | None:
    """The customers whose figures the rows may change; None: everybody's may."""
    if "settings" in rows or "costs" in rows:
        return None
    ids = {SubscriptionKey.parse(key).customer_id for key in rows.get("subscriptions", ())}
    for name, field_name in (("lines", "pk__in"), ("products", "product__in")):
        if keys := rows.get(name):
            lines = InvoiceLine.objects.filter(**{field_name: list(keys)}, invoice__issued=True)
            found = lines.filter(invoice__customer__isnull=False)
            ids.update(found.values_list("invoice__customer", flat=True).distinct())
    for key, values in rows.get("customers", {}).items():
        ids.update({int(key), *([values["into_id"]] if values else [])})
    merged = CustomerMerge.objects.filter(customer__in=ids)
    return ids | set(merged.values_list("into_id", flat=True))


def _refresh(before: Rows, after: Rows) -> None:
    """Have the figures of everybody concerned computed, then or now."""
    was, becomes = customers_of(before), customers_of(after)
    customers = None if was is None or becomes is None else was | becomes
    refresh_enqueue(customers=customers, bank=customers is None or "cash" in after)


def rows_write(
    rows: Rows, *, by: User | None, whole: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the rows; returns what stood there before and what stands there now.

    Rows that were right already are left out of both. With `whole` fields that are not named
    become blank.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, asked in rows.items():
        table = TABLES[name]
        held = table.rows(asked)
        was = {key: table.said(held.get(key)) for key in asked}
        wanted = {}
        for key, values in asked.items():
            kept = {} if whole or values is None else was[key] or {}
            wanted[key] = _without_blank(table, {**kept, **(values or {})})
        differing = [key for key in asked if was[key] != wanted[key]]
        _write(table, held, {key: wanted[key] for key in differing}, by)
        if differing:
            before[name] = {key: was[key] for key in differing}
            after[name] = {key: wanted[key] for key in differing}
    return before, after


def _without_blank(table: Table, values: Values) -> dict[str, Any] | None:
    unknown = set(values) - set(table.blank)
    if unknown:
        raise TypeError(f"{table.model.__name__} says nothing about {sorted(unknown)}")
    plain = {name: _plain(value) for name, value in values.items()}
    return {n: value for n, value in plain.items() if value != table.blank[n]} or None


def _write(
    table: Table, held: Mapping[str, Any], wanted: Mapping[str, Values | None], by: User | None
) -> None:
    gone = [held[key].pk for key, values in wanted.items() if values is None and key in held]
    if not table.kept:
        table.model.objects.filter(pk__in=gone).delete()
    new: list[Any] = []
    changed: list[Any] = []
    for key, values in wanted.items():
        if values is None and (not table.kept or key not in held):
            continue
        row = held.get(key) or table.model(**{"tenant_id": scope.required(), table.key: key})
        _fill(table, row, values or {}, by)
        (changed if key in held else new).append(row)
    names = [*table.blank, *(name for name in ("by", "at") if not table.kept)]
    table.model.objects.bulk_create(new)
    table.model.objects.bulk_update(changed, names, batch_size=500)


def _fill(table: Table, row: Any, values: Values, by: User | None) -> None:
    fields = row._meta
    for name in (table.key, *table.blank):
        value = values.get(name, table.blank.get(name, getattr(row, name)))
        setattr(row, name, fields.get_field(name).to_python(value))
    if not table.kept:
        row.by, row.at = by, timezone.now()
    row.clean_fields(exclude={one.name for one in fields.fields if one.name not in values})


def _all_there(table: str, rows: Mapping[str, Any]) -> bool:
    about = TABLES[table].about
    return about is None or about.objects.filter(pk__in=list(rows)).count() == len(rows)


def _for_the_log(rows: Rows) -> dict[str, Any]:
    """One row field by field; of several only how many. No key in it holds a row's own text."""
    every = [values for table in rows.values() for values in table.values()]
    if len(every) == 1:
        said = dict(every[0] or {})
        return said | {name: _nameless(said[name]) for name in _KEYS if name in said}
    return {"count": sum(values is not None for values in every)} if every else {}


def _nameless(key: str) -> str:
    """A subscription's key without the text that a row without a product goes by."""
    found = SubscriptionKey.parse(key)
    return str(found._replace(product=NAMED)) if found.product.startswith(NAMED) else key
