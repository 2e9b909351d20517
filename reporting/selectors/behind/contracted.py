"""Contracted MRR: lines that stand, lines whose service has not begun, lines known to end."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Body
from reporting.domain import rounding
from reporting.domain.contracted import KNOWN_MONTHS, RENEWED_DAYS
from reporting.domain.periods import add_months_date
from reporting.models import LineFigure, SubscriptionDecision
from reporting.selectors import frame
from reporting.selectors.behind.growth import covering, line_kind, month_row
from reporting.selectors.behind.kinds import Kind, Part
from reporting.selectors.frame import Words

FIGURES = frozenset({"signed", "ending", "contracted"})


def contracted_kind(
    tenant: Tenant, figure: str, month: str, index: int, body: Body, words: Words
) -> Kind:
    """The lines behind what is invoiced for later, what is known to end, and the sum of all."""
    row = month_row(body, month)
    said = {"month": words.month(month, long=True)}
    signed = _shared(_signed(index, body), row["contracted_minor"])
    ending = _shared(_ending(index, body), -row["ending_minor"])
    if figure == "signed":
        title, parts = _("Invoiced, not yet begun: %(month)s") % said, signed
        lead = _("Every line invoiced by the snapshot day for service that begins after it.")
    elif figure == "ending":
        title, parts = _("Known to end or to be renewed: %(month)s") % said, ending
        lead = _(
            "Every line that covers the snapshot day and whose end a person set, within a year,"
            " or whose renewal is invoiced."
        )
    else:
        title = _("Contracted MRR of %(month)s") % said
        lead = _("Lines that cover the snapshot day and do not end, and lines yet to begin.")
        standing = covering(month, index, body)
        shares = rounding.share_out([e4 for _key, e4 in standing], row["mrr_minor"])
        gone = {part.key: part.minor for part in ending}
        parts = [
            Part(key, int(share) + (gone.get(key, 0) if isinstance(key, int) else 0))
            for (key, _e4), share in zip(standing, shares, strict=True)
        ]
        parts = [*(part for part in parts if part.minor), *signed]
    return line_kind(tenant, title, lead, parts, words)


def _shared(lines: QuerySet[LineFigure], total: int) -> list[Part]:
    found = list(lines.exclude(mrr_e4=0).order_by("-mrr_e4", "pk").values_list("pk", "mrr_e4"))
    sign = -1 if total < 0 else 1
    shares = rounding.share_out([e4 * sign for _pk, e4 in found], total)
    return [Part(pk, int(share)) for (pk, _e4), share in zip(found, shares, strict=True)]


def _snapshot(index: int, body: Body) -> date:
    after = frame.month_start(frame.month_text(index + 1))
    return min(after - timedelta(days=1), date.fromisoformat(body["as_of"]))


def _signed(index: int, body: Body) -> QuerySet[LineFigure]:
    day = _snapshot(index, body)
    return LineFigure.objects.filter(counted=True, line__invoice__date__lte=day, start__gt=day)


def _ending(index: int, body: Body) -> QuerySet[LineFigure]:
    """Lines of the snapshot whose successor in their subscription is invoiced, or whose end is set.

    What is awaited beyond its end is not known to end.
    """
    day = _snapshot(index, body)
    after = frame.month_start(frame.month_text(index + 1))
    later = (
        LineFigure.objects.filter(
            subscription=OuterRef("subscription"), counted=True, line__invoice__date__lte=day
        )
        .exclude(mrr_e4=0)
        .annotate(latest=F("start") + timedelta(days=RENEWED_DAYS))
        .filter(latest__gte=OuterRef("end"))
    )
    known = Q(Exists(later))
    if ended := _ended():
        known |= ended & Q(end__lte=_known_until(day))
    return LineFigure.objects.filter(
        known, Q(late=False) | Q(end__gte=after), counted=True, subscription__isnull=False
    ).filter(from_month__lte=index, to_month__gt=index)


def _ended() -> Q | None:
    """Subscriptions whose end a person set; a word on a whole group (band 0) speaks for each."""
    keys = SubscriptionDecision.objects.filter(merged_into="", end__isnull=False)
    found: Q | None = None
    for key in keys.values_list("key", flat=True):
        group, band = key.rsplit("|", 1)
        one = Q(subscription__key=key)
        one = Q(subscription__key__startswith=f"{group}|") if band == "0" else one
        found = one if found is None else found | one
    return found


def _known_until(day: date) -> date:
    """The last end that is known on `day`: of a month's last day, a month's last day."""
    after = day + timedelta(days=1)
    if after.day == 1:
        return add_months_date(after, KNOWN_MONTHS) - timedelta(days=1)
    return add_months_date(day, KNOWN_MONTHS)
