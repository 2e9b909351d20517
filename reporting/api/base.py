"""What every resource shares: what its address may ask, its tag, and pages of a list."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from rest_framework.request import Request

from calqsync.tenancy.pieces import release
from calqsync.tenancy.tokens.rest import Problem, TokenView
from reporting.body import Body
from reporting.models import Report
from reporting.selectors import frame, versions

PAGE, LONGEST_PAGE = 50, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One parameter of an address: how it is written, and what it narrows."""

    name: str
    kind: Literal["id", "day", "month", "choice", "number", "cursor"]
    about: str
    choices: Sequence[str] = ()

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        formats = {"id": "uuid", "day": "date"}
        if self.kind == "number":
            return {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
        if self.kind == "choice":
            return {"type": "string", "enum": list(self.choices)}
        if self.kind == "month":
            return {"type": "string", "pattern": r"^\d{4}-\d{2}$"}
        return {"type": "string"} | ({"format": formats[self.kind]} if self.kind in formats else {})

    def read(self, text: str) -> Any:
        """The value that the text writes; raises ValueError for one that it does not."""
        match self.kind:
            case "id":
                return UUID(text)
            case "day":
                return date.fromisoformat(text)
            case "month":
                return frame.month_index(text)
            case "cursor":
                return _place(text)
            case "number":
                if not 1 <= (number := int(text)) <= LONGEST_PAGE:
                    raise ValueError(text)
                return number
            case "choice":
                if text not in self.choices:
                    raise ValueError(text)
                return text


LIMIT = Asked(name="limit", kind="number", about="How many rows a page holds.")
CURSOR = Asked(name="cursor", kind="cursor", about="Where the page begins: a `next_cursor`.")


class Resource(TokenView):
    """One address; `answers` is the type of `content`, which the description is made from."""

    answers: type
    asks: tuple[Asked, ...] = ()

    def get(self, request: Request, **address: Any) -> HttpResponse:
        values = self._values(request)
        self.admit(**address)
        tag = self.tag(values)
        if tag and (known := get_conditional_response(request._request, etag=tag)):
            return known
        body = msgspec.json.encode(self.content(values, **address))
        tag = tag or f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        answer = HttpResponse(body, content_type="application/json", headers={"ETag": tag})
        answer.headers["Vary"] = "Authorization"
        return cast(HttpResponse, get_conditional_response(request._request, tag, None, answer))

    def admit(self, **address: Any) -> None:
        """Raise Problem or Http404 where the token may not read this address, whatever its tag."""

    def tag(self, values: dict[str, Any]) -> str:
        """The ETag, where it can be told before the answer is made; else "": it is its hash."""
        return ""

    def content(self, values: dict[str, Any], **address: Any) -> Any:
        raise NotImplementedError

    def _values(self, request: Request) -> dict[str, Any]:
        """What the address asks; a mistake in it is said, not passed over."""
        known, values = {one.name: one for one in self.asks}, {}
        for name, text in request.query_params.dict().items():
            if name not in known:
                raise Problem(
                    422,
                    "parameter_unknown",
                    _("This address knows no parameter “%(name)s”.") % {"name": name[:60]},
                    _("It knows: %(names)s.") % {"names": ", ".join(known) or "–"},
                )
            try:
                values[name] = known[name].read(text)
            except ValueError:
                raise Problem(
                    422,
                    "parameter_invalid",
                    _("The value of “%(name)s” cannot be read.") % {"name": name},
                    known[name].about,
                ) from None
        return values


KNOWN_ON = Asked(
    name="known_on",
    kind="day",
    about="As known at the end of this day: YYYY-MM-DD. What was not computed then is null.",
)


class Figures(Resource):
    """A resource of the published figures; its tag changes with each publication and release."""

    asks = (KNOWN_ON,)

    def tag(self, values: dict[str, Any]) -> str:
        if values:
            return ""
        found = Report.objects.values_list("version", "published_at").first()
        if found is None:
            return ""
        version, at = found
        seen = "n" if self.names else "a"
        # Another release may say the same figures in another way.
        return f'"{version}-{int(at.timestamp() * 1_000_000):x}-{seen}-{release()[:8]}"'

    @property
    def names(self) -> bool:
        """Whether customers, accounts and documents may be named."""
        return self.bearer.may("customers:read")

    def content(self, values: dict[str, Any], **address: Any) -> Any:
        day = {versions.KNOWN: str(values[KNOWN_ON.name])} if values else None
        found = frame.published(aggregates_only=not self.names, query=day)
        if found is None:
            raise Problem(
                404,
                "not_published",
                _("No figures are published yet."),
                _("They are once an account is connected and its first import is done."),
            )
        report = found.report
        return {
            "version": report.version,
            "published_at": report.published_at,
            "as_of": report.as_of,
            "currency": report.currency,
            **self.figures(found.body, found, **address),
        }

    def figures(self, body: Body, found: frame.Published, **address: Any) -> dict[str, Any]:
        raise NotImplementedError


class Records(Resource):
    """Rows of one kind: which there are, and how each is written."""

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        raise NotImplementedError

    def written(self, rows: Sequence[Any]) -> list[Any]:
        raise NotImplementedError


class Listed(Records):
    """A list, page by page in the order of ids: rows that come meanwhile move none out of place."""

    def content(self, values: dict[str, Any], **address: Any) -> Any:
        limit = values.get("limit", PAGE)
        rows = self.rows(values).order_by("public_id")
        if after := values.get("cursor"):
            rows = rows.filter(public_id__gt=after)
        found = list(rows[: limit + 1])
        more = len(found) > limit
        found = found[:limit]
        cursor = _cursor(found[-1].public_id) if more else None
        return {"data": self.written(found), "has_more": more, "next_cursor": cursor}


class One(Records):
    """One row by its id; another company's is not there."""

    def content(self, values: dict[str, Any], **address: Any) -> Any:
        found = self.rows({}).filter(public_id=address["public_id"]).first()
        if found is None:
            raise Http404
        return self.written([found])[0]


def _cursor(public_id: UUID) -> str:
    return base64.urlsafe_b64encode(public_id.bytes).rstrip(b"=").decode()


def _place(cursor: str) -> UUID:
    return UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
