"""The figures as JSON, over the same published report as the pages."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calqsync.tenancy.access import TenantRequest
from calqsync.tenancy.models import Role
from reporting.selectors import frame


class Figures(APIView):
    """The published figures of one company; `reporting/body.py` describes every field."""

    @extend_schema(exclude=True)  # for a browser that is signed in; programs have the report
    def get(self, request: Request, **_: Any) -> Response:
        """Return the body with its publication time and the freshness of each connection.

        Investors get the sums and rates alone: lists of customers and accounts are empty.
        """
        may = cast(TenantRequest, request).membership.may
        found = frame.published(aggregates_only=not may(Role.VIEWER))
        if found is None:
            raise NotFound("Nothing has been published yet: connect an account first.")
        return Response(
            {
                "published_at": found.report.published_at,
                "freshness": found.freshness,
                "figures": found.body,
            }
        )
