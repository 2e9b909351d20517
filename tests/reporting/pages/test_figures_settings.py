"""Settings > Figures: what it says, what it keeps, and who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from calqsync.jobs.services import live_job
from reporting.domain.presets import PRESETS
from reporting.models import AcquisitionCost, Report, ReportSettings
from reporting.services import KIND, settings_change
from reporting.views.figures_form import CostsForm
from tests.conftest import Cast
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text

GIVEN = {
    "threshold": "high",
    "tolerance_percent": "1.5",
    "pause_handling": "excluded",
    "free_plans": "ended",
    "period_view": "summed",
    "recognition": "daily",
    "ltv": "ours",
    "gross_margin_percent": "80",
    "cac_lag_months": "1",
    "burn_months": "6",
    "burn_average": "median",
    "reactivation_months": "3",
    "overdue_days": "",
    "grace_w1": "7",
    "grace_w2": "10",
    "grace_1": "14",
    "grace_2": "35",
    "grace_3": "45",
    "grace_6": "60",
    "grace_12": "60",
}


@pytest.fixture
def ann(as_person: Callable[[str], Client]) -> Client:
    """An admin."""
    return as_person("ann")


def save(client: Client, cast: Cast, what: str, **values: str) -> Any:
    data = {"save": what, "seen": "yes", **values}
    return client.post(cast.url("settings/figures/save/"), data, follow=True)


def test_the_form_keeps_every_choice(cast: Cast, ann: Client, shop: Any) -> None:
    page = text(save(ann, cast, "settings", **GIVEN))
    assert "The settings are changed." in page
    row = ReportSettings.objects.get()
    kept = (row.tolerance_bp, row.gross_margin_bp, row.reactivation_months, row.overdue_days)
    assert kept == (150, 8000, 3, None)
    assert (row.pause_handling, row.recognition, row.grace_days) == ("excluded", "daily", {"1": 14})
    assert live_job(kind=KIND) is not None
    shown = ann.get(cast.url("settings/figures/")).content.decode()
    assert 'name="tolerance_percent" value="1.5"' in shown
    assert 'name="grace_1" value="14"' in shown


def test_saving_what_stands_there_changes_nothing(cast: Cast, ann: Client, shop: Any) -> None:
    save(ann, cast, "settings", **GIVEN)
    assert "Nothing was changed" in text(save(ann, cast, "settings", **GIVEN))


@pytest.mark.parametrize(
    ("field", "value"),
    [("tolerance_percent", "11"), ("overdue_days", "-1"), ("ltv", "mine"), ("grace_1", "")],
)
def test_what_is_no_setting_is_refused(
    cast: Cast, ann: Client, shop: Any, field: str, value: str
) -> None:
    page = save(ann, cast, "settings", **{**GIVEN, field: value})
    assert "Please check the form" in text(page)
    assert not ReportSettings.objects.filter(burn_months=6).exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_its_rows_and_nothing_else(
    cast: Cast, ann: Client, shop: Any, preset: str
) -> None:
    save(ann, cast, "settings", **GIVEN)
    save(ann, cast, preset)
    row = ReportSettings.objects.get()
    assert {name: getattr(row, name) for name in PRESETS[preset]} == dict(PRESETS[preset])
    assert row.recognition == "daily"
    assert "(chosen)" in text(ann.get(cast.url("settings/figures/")))


def test_what_moves_mrr_is_shown_before_it_is_saved(cast: Cast, ann: Client, shop: Any) -> None:
    refreshed()
    address = cast.url("settings/figures/save/")
    data = {"save": "settings", **GIVEN, "overdue_days": "0"}
    shown = ann.post(address, data)
    assert "Nothing is saved yet" in text(shown)
    assert not ReportSettings.objects.filter(overdue_days=0).exists()


def test_costs_are_kept_by_month_and_taken_back(cast: Cast, ann: Client, shop: Any) -> None:
    field = next(iter(_cost_fields(ann, cast)))
    year, month = (int(part) for part in field.removeprefix("cost_").split("_"))
    save(ann, cast, "costs", **{field: "1200.50"})
    held = AcquisitionCost.objects.get()
    assert (held.month, held.amount_minor) == (year * 12 + month - 1, 120_050)
    save(ann, cast, "costs", **{field: ""})
    assert not AcquisitionCost.objects.exists()


def test_a_cost_has_the_decimals_of_the_companys_currency() -> None:
    january = 2026 * 12
    given = {"months": [(january, "January")], "held": {january: 900}, "currency": "ISK"}
    form = CostsForm({"cost_2026_01": "1200"}, **given)
    assert form.fields["cost_2026_01"].initial == 900
    assert form.is_valid()
    assert form.values() == {january: 1200}
    assert not CostsForm({"cost_2026_01": "1200.50"}, **given).is_valid()


def _cost_fields(client: Client, cast: Cast) -> list[str]:
    page = client.get(cast.url("settings/figures/"))
    return list(page.context["costs"].fields)


def test_what_is_saved_makes_the_next_figures(cast: Cast, ann: Client, shop: Any) -> None:
    before = mrr_of_all_months()
    save(ann, cast, "settings", **{**GIVEN, "overdue_days": "0"})
    refreshed()
    assert mrr_of_all_months() < before


def mrr_of_all_months() -> int:
    months = Report.objects.get().body["months"]
    return sum(int(month["mrr_minor"]) for month in months)


def test_viewers_see_the_choices_and_cannot_save(cast: Cast, vera: Client, shop: Any) -> None:
    page = vera.get(cast.url("settings/figures/")).content.decode()
    assert 'value="settings"' not in page
    assert "disabled" in page
    assert save(vera, cast, "ours").status_code == 403


@pytest.mark.parametrize(("person", "may"), [("ann", True), ("bob", False)])
def test_only_admins_undo_what_admins_changed(
    cast: Cast, as_person: Callable[[str], Client], shop: Any, person: str, may: bool
) -> None:
    edit = settings_change(by=cast.ann, tolerance_bp=100)
    assert edit is not None
    client = as_person(person)
    shown = client.get(cast.url("subscriptions/edits/")).content.decode()
    assert (str(edit.public_id) in shown) is may
    answer = client.post(cast.url(f"subscriptions/edits/{edit.public_id}/undo/"))
    assert answer.status_code == (302 if may else 403)
    assert ReportSettings.objects.get().tolerance_bp == (0 if may else 100)
