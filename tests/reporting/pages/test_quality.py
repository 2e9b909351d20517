"""What may bend the figures is listed with what it moves, and mended where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client

from calqsync.tenancy.models import AuditEvent
from integrations.models import Customer
from reporting.models import CustomerFigure, CustomerMerge, CustomersApart, Edit, Subscription
from reporting.selectors.doubles import doubles
from reporting.services import TouchedSince, acts, change_save, edit_undo
from tests.conftest import Cast
from tests.factories import Row, customer_make, invoice_make, monthly_make
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import file_of, queries_of, text


def merge(client: Client, cast: Cast, customer: Any, **typed: str) -> Any:
    url = cast.url(f"customers/{customer.public_id}/merge/")
    return client.post(url, {"seen": "yes", **typed}, follow=True)


@pytest.fixture
def renamed(shop: Any) -> Any:
    """Aalto went on under another name, for the same price."""
    new = customer_make(shop["eu"], "Meri Palvelut Oy")
    months = ["2025-10", "2025-11", "2025-12"]
    old = customer_make(shop["eu"], "Ranta Oy")
    monthly_make(old, shop["plan"], months, net="60.00")
    monthly_make(new, shop["plan"], ["2026-01", "2026-02", "2026-03"], net="60.00")
    refreshed()
    return old, new


def test_a_company_without_flaws_is_told_so(cast: Cast, bob: Client, shop: Any) -> None:
    page = bob.get(cast.url("quality/")).context["page"]
    assert "Gaps in subscriptions" in page.clean
    assert page.doubles == []


def test_a_gap_is_listed_with_the_mrr_at_stake(cast: Cast, bob: Client, shop: Any) -> None:
    dahl = customer_make(shop["eu"], "Dahl Ab")
    monthly_make(dahl, shop["plan"], ["2025-11", "2025-12", "2026-02", "2026-03"], net="70.00")
    refreshed()
    assert Subscription.objects.get(customer=dahl).gaps == 1
    section = next(
        one for one in bob.get(cast.url("quality/")).context["page"].sections if one.code == "gaps"
    )
    assert [row["name"] for row in section.rows] == ["Dahl Ab"]
    assert "70.00" in section.stake
    (row,) = file_of(bob, cast.url("quality/subscriptions/?flaw=gaps"))
    assert (row["Customer"], row["Gaps"]) == ("Dahl Ab", "1")


def test_who_left_for_more_than_three_periods_has_no_gap(shop: Any) -> None:
    dahl = customer_make(shop["eu"], "Dahl Ab")
    monthly_make(dahl, shop["plan"], ["2025-07", "2025-08", "2026-02", "2026-03"], net="70.00")
    refreshed()
    assert Subscription.objects.get(customer=dahl).gaps == 0


def test_a_month_invoiced_twice_is_an_overlap_and_an_upgrade_is_none(shop: Any) -> None:
    twice, more = customer_make(shop["eu"], "Dahl Ab"), customer_make(shop["eu"], "Ek Ab")
    plan = shop["plan"]
    monthly_make(twice, plan, ["2026-01", "2026-02", "2026-03"], net="70.00")
    again = Row(net="70.00", product=plan, service=("2026-02-10", "2026-03-10"))
    invoice_make(twice, "2026-02-10", [again])
    monthly_make(more, plan, ["2026-01", "2026-02", "2026-03"], net="70.00")
    rest = Row(net="9.00", product=plan, service=("2026-02-15", "2026-03-01"))
    invoice_make(more, "2026-02-15", [rest])
    refreshed()
    found = dict(Subscription.objects.values_list("customer__name", "overlaps"))
    assert found["Dahl Ab"] > 0
    assert found["Ek Ab"] == 0


def test_the_same_month_on_two_invoices_is_an_overlap_until_one_is_credited(shop: Any) -> None:
    dahl = customer_make(shop["eu"], "Dahl Ab")
    monthly_make(dahl, shop["plan"], ["2026-01", "2026-02", "2026-03"], net="70.00")
    again = Row(net="70.00", product=shop["plan"], service=("2026-02-01", "2026-03-01"))
    invoice_make(dahl, "2026-02-06", [again])
    refreshed()
    assert Subscription.objects.get(customer=dahl).overlaps == 1
    back = Row(net="-70.00", product=shop["plan"], service=("2026-02-01", "2026-03-01"))
    invoice_make(dahl, "2026-02-09", [back])
    refreshed()
    assert Subscription.objects.get(customer=dahl).overlaps == 0


def test_yearly_contracts_side_by_side_are_no_overlap(shop: Any) -> None:
    dahl = customer_make(shop["eu"], "Dahl Ab")
    for begins in ("2024-02-01", "2024-05-01", "2024-08-01", "2025-02-01", "2025-05-01"):
        ends = f"{int(begins[:4]) + 1}{begins[4:]}"
        row = Row(net="1200.00", product=shop["plan"], service=(begins, ends))
        invoice_make(dahl, begins, [row])
    row = Row(net="1200.00", product=shop["plan"], service=("2025-08-01", "2026-08-01"))
    invoice_make(dahl, "2025-08-01", [row])
    refreshed()
    assert Subscription.objects.get(customer=dahl).overlaps == 0


def test_days_without_service_within_a_month_are_no_gap(shop: Any) -> None:
    """Case H26: every snapshot is covered, so no figure is moved."""
    dahl = customer_make(shop["eu"], "Dahl Ab")
    periods = (
        ("2026-01-01", "2026-02-01"),
        ("2026-02-04", "2026-03-04"),
        ("2026-03-04", "2026-04-04"),
    )
    for begins, ends in periods:
        row = Row(net="70.00", product=shop["plan"], service=(begins, ends))
        invoice_make(dahl, begins, [row])
    refreshed()
    assert Subscription.objects.get(customer=dahl).gaps == 0


def test_a_credit_note_without_an_invoice_leads_to_its_row(
    cast: Cast, bob: Client, shop: Any
) -> None:
    credit = invoice_make(shop["berg"], "2026-03-02", [Row(net="-13.00", name="Hyvitys")])
    refreshed()
    sections = {one.code: one for one in bob.get(cast.url("quality/")).context["page"].sections}
    (row,) = sections["credits"].rows
    assert row["url"] == cast.url(f"invoices/{credit.public_id}/rows/0/")
    assert bob.get(row["url"]).status_code == 200
    (row,) = file_of(bob, cast.url("quality/credits/"))
    assert row["Credit note"] == credit.number


def test_products_without_a_mark_stand_with_what_hangs_on_them(
    cast: Cast, bob: Client, shop: Any
) -> None:
    def unmarked() -> list[str]:
        sections = bob.get(cast.url("quality/")).context["page"].sections
        return [row["name"] for one in sections if one.code == "unmarked" for row in one.rows]

    assert unmarked() == ["Alusta", "Platform"]
    change_save(change=acts.products_marked(products=[shop["plan"]], mark="recurring"), by=cast.bob)
    assert unmarked() == ["Platform"]


def test_customers_of_one_business_id_or_name_are_proposed_once(shop: Any) -> None:
    Customer.objects.filter(pk__in=[shop["aalto"].pk, shop["cedar"].pk]).update(
        business_id="1234567-8"
    )
    customer_make(shop["eu"], "BERG OYJ")
    found = {(one.customer.name, one.into.name): one.why for one in doubles()}
    assert found == {("Cedar Inc", "Aalto Oy"): "business_id", ("BERG OYJ", "Berg Oy"): "name"}


def test_a_customer_that_goes_on_under_another_name_is_proposed(renamed: Any) -> None:
    old, new = renamed
    (found,) = doubles()
    assert (found.customer, found.into, found.why) == (old, new, "continues")


def test_a_name_registered_under_two_business_ids_is_two_companies(shop: Any) -> None:
    customer_make(shop["eu"], "Suo Oy", business_id="2458705-3")
    customer_make(shop["eu"], "Suo Oy", business_id="3071816-0")
    assert doubles() == []
    customer_make(shop["eu"], "Suo Tmi", business_id="1234567-1")
    assert {one.why for one in doubles()} == {"name"}


def test_of_several_that_left_and_came_at_the_usual_price_none_is_proposed(
    shop: Any, renamed: Any
) -> None:
    third = customer_make(shop["eu"], "Kallio Oy")
    monthly_make(third, shop["plan"], ["2026-01", "2026-02", "2026-03"], net="60.00")
    refreshed()
    assert doubles() == []


def test_merging_takes_the_false_churn_and_the_false_new_customer_away(
    cast: Cast, bob: Client, renamed: Any
) -> None:
    old, new = renamed
    preview = merge(bob, cast, old, say="merge", into=str(new.public_id), seen="")
    assert "Count Ranta Oy as Meri Palvelut Oy" in text(preview)
    assert not CustomerMerge.objects.exists()
    merge(bob, cast, old, say="merge", into=str(new.public_id))
    refreshed()
    assert not CustomerFigure.objects.filter(customer=old).exclude(mrr_now_e4=0).exists()
    figure = CustomerFigure.objects.get(customer=new)
    assert set(figure.mrr_e4) == {60_000_000}
    assert figure.moves.count(1) == 1, "it is new once"
    assert doubles() == []
    assert "Counted together with" in text(bob.get(cast.url(f"customers/{new.public_id}/")))
    assert "Its figures count as those of" in text(bob.get(cast.url(f"customers/{old.public_id}/")))


def test_a_merge_is_undone_with_one_button(cast: Cast, bob: Client, renamed: Any) -> None:
    old, new = renamed
    merge(bob, cast, old, say="merge", into=str(new.public_id))
    bob.post(cast.url(f"subscriptions/edits/{Edit.objects.get().public_id}/undo/"))
    assert not CustomerMerge.objects.exists()


def test_what_was_merged_before_goes_along_and_circles_are_refused(
    cast: Cast, shop: Any, renamed: Any
) -> None:
    old, new = renamed
    whole = shop["aalto"]
    change_save(change=acts.customers_merged(customer=old, into=new), by=cast.bob)
    change_save(change=acts.customers_merged(customer=new, into=whole), by=cast.bob)
    assert set(CustomerMerge.objects.values_list("customer", "into")) == {
        (old.pk, whole.pk),
        (new.pk, whole.pk),
    }
    with pytest.raises(ValidationError, match="count as one already"):
        acts.customers_merged(customer=whole, into=old)


def test_undoing_never_counts_a_customer_for_one_that_counts_for_another(
    cast: Cast, shop: Any, renamed: Any
) -> None:
    old, new = renamed
    change_save(change=acts.customers_merged(customer=old, into=new), by=cast.bob)
    parted = change_save(change=acts.customers_parted(customer=old), by=cast.bob)
    change_save(change=acts.customers_merged(customer=new, into=shop["aalto"]), by=cast.bob)
    assert parted is not None
    with pytest.raises(TouchedSince):
        edit_undo(edit=parted, by=cast.bob)
    merges = CustomerMerge.objects.values_list("customer", "into")
    assert list(merges) == [(new.pk, shop["aalto"].pk)]


def test_the_log_holds_no_name_of_merged_customers(cast: Cast, renamed: Any) -> None:
    old, new = renamed
    for change in (
        acts.customers_apart(customer=old, other=new),
        acts.customers_merged(customer=old, into=new),
    ):
        change_save(change=change, by=cast.bob)
    change_save(change=acts.customers_parted(customer=old), by=cast.bob)
    logged = AuditEvent.objects.filter(act__startswith="customers.")
    assert [event.target for event in logged] == [str(old.public_id)] * 3
    said = str(list(logged.values()))
    assert old.name not in said
    assert new.name not in said


def test_of_two_merges_decided_at_once_the_second_is_refused_where_it_would_make_a_chain(
    cast: Cast, shop: Any, renamed: Any
) -> None:
    old, new = renamed
    first = acts.customers_merged(customer=old, into=new)
    second = acts.customers_merged(customer=new, into=old)
    change_save(change=first, by=cast.bob)
    with pytest.raises(ValidationError, match="merged just now"), transaction.atomic():
        change_save(change=second, by=cast.bob)
    assert CustomerMerge.objects.count() == 1


def test_those_kept_apart_are_not_proposed_again(cast: Cast, bob: Client, renamed: Any) -> None:
    old, new = renamed
    merge(bob, cast, old, say="apart", into=str(new.public_id))
    assert CustomersApart.objects.get().customer_id == min(old.pk, new.pk)
    assert doubles() == []


def test_a_name_that_is_typed_finds_the_customer_if_it_is_the_only_one(
    cast: Cast, bob: Client, shop: Any
) -> None:
    merge(bob, cast, shop["aalto"], say="merge", into="berg oy")
    assert CustomerMerge.objects.get().into_id == shop["berg"].pk
    for nobody in ("Nobody", "Aalto Oy\0\0x", "\0"):
        answer = merge(bob, cast, shop["berg"], say="merge", into=nobody)
        assert "Choose another customer" in text(answer)


def test_viewers_see_and_do_not_mend(cast: Cast, vera: Client, renamed: Any) -> None:
    old, new = renamed
    assert "Not the same" not in text(vera.get(cast.url("quality/")))
    assert merge(vera, cast, old, say="merge", into=str(new.public_id)).status_code == 403


def test_the_page_asks_few_questions(cast: Cast, bob: Client, renamed: Any) -> None:
    asked = queries_of(bob, cast.url("quality/"))
    assert len(asked) <= 12, asked
