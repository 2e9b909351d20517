"""Answers that are not 200, in the envelope of the API."""

from integrations.sandbox.http import Response
from integrations.sandbox.render import encode


class ApiError(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field = status, message, field


def problem(status: int, message: str, field: str | None = None) -> Response:
    """`{"errors": [{"status", "message"[, "field"]}]}`; `field` only for validation errors."""
    error: dict[str, object] = {"status": status, "message": message}
    if field is not None:
        error["field"] = field
    return Response(status, encode({"errors": [error]}))


def gateway_refusal() -> Response:
    """What the gateway in front of the API says to a GET with a body: no JSON at all."""
    html = b"<html><head><title>403 Forbidden</title></head><body>403 Forbidden</body></html>"
    return Response(403, html, "text/html")
