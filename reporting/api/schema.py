"""The description of the API in OpenAPI, made from the types that its answers have."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import msgspec
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from calqsync.tenancy.tokens.text import PREFIX
from reporting.api import shapes
from reporting.api.base import Listed, Resource
from reporting.parts import DIMENSIONS

_REF = "#/components/schemas/{name}"
_PROBLEMS = {
    401: "The token is missing, unknown, revoked or expired.",
    403: "The token's scope, or its owner's role, does not reach this.",
    404: "There is no such thing, or nothing is published yet.",
    422: "A parameter is unknown or cannot be read.",
    429: "Too many requests: `Retry-After` says how many seconds to wait.",
}


class ResourceSchema(AutoSchema):
    """Describes a `Resource` by its `answers`, `asks`, `scope` and docstring."""

    view: Any

    def get_operation_id(self) -> str:
        name = type(self.view).__name__
        return f"list_{name}".lower() if isinstance(self.view, Listed) else name.lower()

    def get_summary(self) -> str:
        return (type(self.view).__doc__ or "").strip().split("\n")[0]

    def get_description(self) -> str:  # type: ignore[override]
        scope = self.view.scope
        return f"Scope: `{scope}`." if scope else "Any living token."

    def get_tags(self) -> list[str]:
        return ["Figures" if "published" in type(self.view).__module__ else "Records"]

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [{"token": [self.view.scope] if self.view.scope else []}]

    def get_override_parameters(self) -> list[Any]:
        asked = [
            OpenApiParameter(one.name, type=one.schema(), description=one.about)
            for one in self.view.asks
        ]
        if "{dimension}" in self.path:
            kinds = {"type": "string", "enum": list(DIMENSIONS)}
            asked.append(OpenApiParameter("dimension", type=kinds, location="path", required=True))
        tag = "An ETag: 304 while nothing changed."
        return [*asked, OpenApiParameter("If-None-Match", str, "header", description=tag)]

    def get_response_serializers(self) -> Any:
        problem = {"$ref": _REF.format(name="Problem")}
        answer = {"$ref": _REF.format(name=self.view.answers.__name__)}
        found: dict[Any, Any] = {(200, "application/json"): answer}
        found[304] = OpenApiResponse(description="As the ETag says that you have it.")
        for status, words in _PROBLEMS.items():
            key = (status, "application/problem+json")
            found[key] = OpenApiResponse(problem, description=words)
        return found


Resource.schema = ResourceSchema()


def with_components(result: dict[str, Any], **_more: Any) -> dict[str, Any]:
    """The description with the types of all answers, and how a token is sent."""
    answers = list(dict.fromkeys(view.answers for view in _resources(Resource)))
    answers.append(shapes.Problem)
    _refs, schemas = msgspec.json.schema_components(answers, ref_template=_REF)
    components = result.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas}
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": f"{PREFIX}…",
            "description": "A token made under Settings, API tokens; it belongs to one company.",
        }
    }
    return result


def _resources(above: type) -> list[Any]:
    found: list[Any] = []
    below: list[Any] = above.__subclasses__()
    for view in below:
        found += [view] if "answers" in vars(view) else []
        found += _resources(view)
    return found


@cache
def document() -> bytes:
    """The description as JSON; made once a process, because nothing in it changes while it runs."""
    made = SchemaGenerator(api_version="v1").get_schema(request=None, public=True)
    return msgspec.json.encode(made)


@transaction.non_atomic_requests
@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The description, for anybody: it tells what may be asked and holds nothing of a company."""
    answer = HttpResponse(document(), content_type="application/json")
    tag = f'"{hashlib.blake2b(document(), digest_size=16).hexdigest()}"'
    answer.headers["ETag"] = tag
    found = get_conditional_response(request, tag, None, answer)
    assert isinstance(found, HttpResponse)
    return found
