"""Contracted MRR: lines that stand, lines whose service has not begun, lines known to end."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, Value
from django.utils.translation import gettext as _

from reporting.domain.contracted import KNOWN_MONTHS, RENEWED_DAYS
from reporting.domain.periods import add_months_date
from reporting.models import LineFigure, Subscription, SubscriptionDecision
from reporting.selectors import frame
from reporting.selectors.behind.growth import covering, largest, line_kind, month_row
from reporting.selectors.behind.kinds import Kind, Part, Question, shared

FIGURES = frozenset({"signed", "ending", "contracted"})


def contracted_kind(asked: Question) -> Kind:
    """The lines behind what is invoiced for later, what is known to end, and the sum of all."""
    row, figure, said = month_row(asked), asked.figure, asked.said
    signed = _parts(_signed(asked), row["contracted_minor"])
    ending = _parts(_ending(asked), -row["ending_minor"])
    if figure == "signed":
        title, parts = _("Invoiced, not yet begun: %(month)s") % said, signed
        lead = _(
            "Every line invoiced by the month's last day, or by today, for service that begins"
            " after it."
        )
    elif figure == "ending":
        title, parts = _("Known to end or to be renewed: %(month)s") % said, ending
        lead = _(
            "Every line that covers the month's last day, or today, and whose end a person set,"
            " within a year, or whose renewal is invoiced."
        )
    else:
        title = _("Contracted MRR of %(month)s") % said
        lead = _(
            "Lines that cover the month's last day, or today, and do not end, and lines yet to"
            " begin."
        )
        gone = {part.key: part.minor for part in ending}
        parts = [
            Part(one.key, one.minor + (gone.get(one.key, 0) if isinstance(one.key, int) else 0))
            for one in shared(covering(asked), row["mrr_minor"])
        ]
        parts = [*(part for part in parts if part.minor), *signed]
    return line_kind(asked, title, lead, parts)


def _parts(lines: QuerySet[LineFigure], total: int) -> list[Part]:
    sign = -1 if total < 0 else 1
    return shared([(pk, e4 * sign) for pk, e4 in largest(lines)], total)


def _snapshot(asked: Question) -> date:
    after = frame.month_start(frame.month_text(asked.index + 1))
    return min(after - timedelta(days=1), date.fromisoformat(asked.body["as_of"]))


def _signed(asked: Question) -> QuerySet[LineFigure]:
    day = _snapshot(asked)
    return LineFigure.objects.filter(counted=True, line__invoice__date__lte=day, start__gt=day)


def _ending(asked: Question) -> QuerySet[LineFigure]:
    """Lines of the snapshot whose successor in their subscription is invoiced, or whose end is set.

    What is awaited beyond its end is not known to end.
    """
    day, index = _snapshot(asked), asked.index
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
    known |= Q(subscription__in=_ended(), end__lte=_known_until(day))
    return LineFigure.objects.filter(
        known, Q(late=False) | Q(end__gte=after), counted=True, subscription__isnull=False
    ).filter(from_month__lte=index, to_month__gt=index)


def _ended() -> QuerySet[Subscription]:
    """Subscriptions whose end a person set; a word on a whole group (band 0) speaks for each."""
    key = OuterRef("key")
    group = Func(key, Value("[^|]*$"), Value("0"), function="regexp_replace")
    said = SubscriptionDecision.objects.filter(key__in=[key, group])
    return Subscription.objects.filter(Exists(said.filter(merged_into="", end__isnull=False)))


def _known_until(day: date) -> date:
    """The last end that is known on `day`: of a month's last day, a month's last day."""
    after = day + timedelta(days=1)
    if after.day == 1:
        return add_months_date(after, KNOWN_MONTHS) - timedelta(days=1)
    return add_months_date(day, KNOWN_MONTHS)
