"""The published figures, as the dashboards have them."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Role
from calqsync.tenancy.tokens.rest import Problem
from calqsync.tenancy.tokens.scopes import FIGURES
from reporting import parts
from reporting.api import shapes
from reporting.api.base import Figures, Resource
from reporting.body import Body
from reporting.models import ReportPart
from reporting.selectors import aggregates, versions
from reporting.selectors.frame import Published


class Company(Resource):
    """Whose data the token opens, and how far."""

    answers = shapes.Company

    def content(self, values: dict[str, Any], **address: Any) -> shapes.Company:
        tenant, token = self.bearer.tenant, self.bearer.token
        return {
            "id": tenant.public_id,
            "name": tenant.name,
            "business_id": tenant.business_id,
            "currency": tenant.currency,
            "time_zone": tenant.time_zone,
            "role": self.bearer.membership.role,
            "token": {
                "name": token.name,
                "scopes": list(self.bearer.scopes),
                "expires_at": token.expires_at,
            },
        }


def _sources(found: Published) -> list[shapes.Source]:
    return [
        {
            "connection": row.get("connection"),
            "name": row.get("name"),
            "as_of": row.get("as_of"),
            "included": bool(row.get("included")),
        }
        for row in found.freshness
    ]


class Report(Figures):
    """All figures of the dashboards in one answer, and how recent the books behind them are."""

    scope = FIGURES
    answers = shapes.Report

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"freshness": _sources(found), "data": body}


class Months(Figures):
    """MRR by month with its movements, customers, churn and retention."""

    scope = FIGURES
    answers = shapes.Months

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": body["months"]}


class Revenue(Figures):
    """Net invoiced by month."""

    scope = FIGURES
    answers = shapes.RevenueMonths

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": body["revenue"]}


class Cash(Figures):
    """Cash by month, from the opening balance to the closing one, and the accounts."""

    scope = FIGURES
    answers = shapes.CashAnswer

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": {"months": body["cash"], "accounts": body["accounts"]}}


class Receivables(Figures):
    """Open sales invoices by age, and when their money is expected."""

    scope = FIGURES
    answers = shapes.ReceivablesAnswer

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": body["receivables"]}


class Runway(Figures):
    """How long the cash lasts, with the months that say so."""

    scope = FIGURES
    answers = shapes.RunwayAnswer

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": body["runway"]}


class Freshness(Figures):
    """How recent the books behind the figures are, account by account."""

    scope = FIGURES
    answers = shapes.Freshness

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        return {"data": _sources(found)}


class Part(Figures):
    """A part of the figures that is published beside the body."""

    scope = FIGURES
    part = ""

    def admit(self, **address: Any) -> None:
        if self.name_of(**address) not in aggregates.PARTS and not self.names:
            raise Problem(
                403,
                "scope_missing" if self.bearer.reaches(Role.VIEWER) else "role_missing",
                _("These segments name products, groups or accounts, as “customers:read” does."),
                _("Segments by country and currency are open to every token of figures."),
            )

    def figures(self, body: Body, found: Published, **address: Any) -> dict[str, Any]:
        name = self.name_of(**address)
        if found.version is not None:
            part = versions.parts_of(found.version).get(name)
        else:
            part = ReportPart.objects.filter(name=name).values_list("body", flat=True).first()
        if part is None:
            raise Problem(
                404,
                "not_published",
                _("This part of the figures is not published yet."),
                _("It is computed with the next refresh of the figures."),
            )
        return {"data": part}

    def name_of(self, **address: Any) -> str:
        return self.part


class Quarters(Part):
    """Quarters: classified anew from their own first and last day, and summed from months."""

    part, answers = parts.QUARTERS, shapes.Periods


class Years(Part):
    """Years: classified anew from their own first and last day, and summed from months."""

    part, answers = parts.YEARS, shapes.Periods


class Cohorts(Part):
    """Retention of customers and of net MRR by the month of the first MRR."""

    part, answers = parts.COHORTS, shapes.CohortsAnswer


class Economics(Part):
    """ARPA, LTV, CAC and payback by month."""

    part, answers = parts.ECONOMICS, shapes.EconomicsAnswer


class Recognition(Part):
    """Revenue recognised by month and by day, and what is deferred."""

    part, answers = parts.RECOGNITION, shapes.RecognitionAnswer


class Refunds(Part):
    """Credit notes and overdue invoices by month of billing."""

    part, answers = parts.REFUNDS, shapes.RefundsAnswer


class Segments(Part):
    """MRR and movements by the values of one dimension."""

    answers = shapes.SegmentsAnswer

    def name_of(self, **address: Any) -> str:
        if address["dimension"] not in parts.DIMENSIONS:
            raise Http404
        return parts.segments_by(address["dimension"])
