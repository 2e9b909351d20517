"""The figures as JSON, over the same published report as the pages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reporting.selectors import frame


class Figures(APIView):
    """The published figures of one company; `reporting/body.py` describes every field."""

    @extend_schema(responses=OpenApiTypes.OBJECT, operation_id="figures")
    def get(self, request: Request, **_: Any) -> Response:
        """Return the body with its publication time and the freshness of each connection."""
        found = frame.published()
        if found is None:
            raise NotFound("Nothing has been published yet: connect an account first.")
        report = found.report
        return Response(
            {
                "published_at": report.published_at,
                "freshness": report.freshness,
                "figures": found.body,
            }
        )
