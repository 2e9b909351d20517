"""Customers and products: read from Procountor's registers before the invoices that name them."""

from __future__ import annotations

from django.db import transaction

from integrations.models import Rejection
from integrations.models.runs import Stream
from integrations.procountor.paging import LARGEST
from integrations.sync import targets
from integrations.sync.bulk import mark_unseen
from integrations.sync.loading.registers import load_partners, load_products
from integrations.sync.work import Work


def partners(work: Work) -> None:
    """Customers, active and inactive ones; details because the list lacks e-mail and group."""
    start = work.changed_from(Stream.PARTNERS)
    end = work.changed_to() if start else None
    for active in (True, False):
        for listed in work.client.partners(active=active, changed_from=start, changed_to=end):
            ids = [document.record.id for document in listed.documents]
            ids += [int(bad.external_id) for bad in listed.rejected if bad.external_id]
            details = work.client.partner_details(ids)
            missing = {str(number) for number in details.missing}
            seen = [d for d in listed.documents if d.external_id in missing]
            nameless = [bad for bad in listed.rejected if not bad.external_id]
            with work.page() as page:
                load_partners(
                    work, page, [*details.documents, *seen], [*details.rejected, *nameless]
                )
    if work.incremental and work.rejected_before:
        _again(work)
    with work.page() as page:
        work.finish(Stream.PARTNERS, page)


def _again(work: Work) -> None:
    """Read once more what could not be understood before."""
    with transaction.atomic():
        rows = Rejection.objects.filter(connection=work.connection, stream=Stream.PARTNERS)
        ids = [int(name) for name in rows.values_list("external_id", flat=True) if name.isdigit()]
    for start in range(0, len(ids), LARGEST):
        details = work.client.partner_details(ids[start : start + LARGEST])
        with work.page() as page:
            load_partners(work, page, list(details.documents), list(details.rejected))


def products(work: Work) -> None:
    """Sales products. The list is short and read whole, since products really disappear."""
    seen: set[str] = set()
    for listed in work.client.products():
        seen.update(document.external_id for document in listed.documents)
        seen.update(bad.external_id for bad in listed.rejected)
        with work.page() as page:
            load_products(work, page, list(listed.documents), list(listed.rejected))
    with work.page() as page:
        # An empty list is more likely a missing right than an empty register.
        if seen:
            gone = mark_unseen(targets.PRODUCTS, seen, now=page.now, **work.owner)
            page.tally(Stream.PRODUCTS).removed += gone
        work.finish(Stream.PRODUCTS, page)
