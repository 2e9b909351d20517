"""Customers and products: read from Procountor's registers before the invoices that name them."""

from __future__ import annotations

from django.db import transaction

from integrations.models import Rejection
from integrations.models.runs import GIVES_UP_AFTER, Stream
from integrations.procountor.documents import Page as Listed
from integrations.procountor.paging import LARGEST
from integrations.sync.staging import PARTNERS, PRODUCTS, SEEN, Bundle, deliver, hold_ids
from integrations.sync.windows import Place
from integrations.sync.work import Work


def partners(work: Work) -> None:
    """Customers, active and inactive ones; details because the list lacks email and group."""
    start = work.changed_from(Stream.PARTNERS)
    end = work.changed_to() if start else None
    position = work.position(Stream.PARTNERS)
    for active in (True, False):
        if active and position.get("active") is False:
            continue
        place = Place.from_json(position.get("place") if position.get("active") is active else None)
        pages = work.client.partners(
            active=active,
            changed_from=start,
            changed_to=end,
            previous_id=place.after,
            behind=place.behind,
        )
        for listed in pages:
            bundle = _whole_partners(work, listed)
            with work.page() as page:
                deliver(work, page, bundle)
                for number in listed.ids:
                    place = place.past(number)
                page.tally(Stream.PARTNERS).position = {"active": active, "place": place.as_json()}
            work.breathe()
    if work.incremental and work.rejected_before:
        _again(work)
    with work.page() as page:
        work.finish(Stream.PARTNERS, page)


def _whole_partners(work: Work, listed: Listed) -> Bundle:
    """The partners of a page read whole; the list's own words where there is no more."""
    details = work.client.partner_details(listed.ids)
    missing = {str(number) for number in details.missing}
    seen = [d for d in listed.documents if d.external_id in missing]
    nameless = [bad for bad in listed.rejected if not bad.external_id]
    return Bundle(
        kind=PARTNERS,
        documents=[*details.documents, *seen],
        rejected=[*details.rejected, *nameless],
    )


def _again(work: Work) -> None:
    """Read once more what could not be understood before."""
    with transaction.atomic():
        rows = Rejection.objects.filter(
            connection=work.connection,
            stream=Stream.PARTNERS,
            ignored_at=None,
            attempts__lt=GIVES_UP_AFTER,
        )
        ids = [int(name) for name in rows.values_list("external_id", flat=True) if name.isdigit()]
    for start in range(0, len(ids), LARGEST):
        details = work.client.partner_details(ids[start : start + LARGEST])
        with work.page() as page:
            bundle = Bundle(kind=PARTNERS, documents=details.documents, rejected=details.rejected)
            deliver(work, page, bundle)


def products(work: Work) -> None:
    """Sales products. The list is short and read whole, since products really disappear."""
    seen: set[str] = set()
    pages = list(work.client.products())
    # One transaction with its end: after a break no product is read and counted again.
    with work.page() as page:
        for listed in pages:
            seen.update(document.external_id for document in listed.documents)
            seen.update(bad.external_id for bad in listed.rejected)
            deliver(
                work,
                page,
                Bundle(kind=PRODUCTS, documents=listed.documents, rejected=listed.rejected),
            )
        hold_ids(work, SEEN, Stream.PRODUCTS, seen)
        work.finish(Stream.PRODUCTS, page)
