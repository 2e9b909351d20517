"""`/api/oauth/token` and `/api/oauth/key`."""

from collections.abc import Mapping
from dataclasses import dataclass

from integrations.sandbox.errors import ApiError
from integrations.sandbox.http import Request, Response
from integrations.sandbox.render import encode
from integrations.sandbox.tokens import Mint, Refused


@dataclass(slots=True)
class OAuth:
    """The token endpoints of one API client; `token_type` is sent only when asked for."""

    mint: Mint
    client_secret: str
    redirect_uri: str | None = None
    token_type: bool = False
    rotate_refresh: bool = False

    def __call__(self, request: Request, path: str) -> Response:
        if request.method != "POST":
            raise ApiError(405, "Use POST")
        if request.query:
            raise ApiError(400, "Credentials must be sent in the request body")
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise ApiError(400, "Content-Type must be application/x-www-form-urlencoded")
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (
            self.mint.client_id,
            self.client_secret,
        ):
            raise ApiError(401, "Invalid client credentials")
        try:
            if path == "/oauth/key":
                return self._key(form)
            return self._token(form)
        except Refused as error:
            raise ApiError(401, str(error)) from error

    def _key(self, form: Mapping[str, str]) -> Response:
        if form.get("grant_type") != "authorization_code":
            raise ApiError(400, "Unsupported grant_type")
        grant = self.mint.redeem(
            form.get("code", ""), purpose="keylogin", redirect_uri=form.get("redirect_uri", "")
        )
        return Response(200, encode({"api_key": self.mint.key(grant)}))

    def _token(self, form: Mapping[str, str]) -> Response:
        kind = form.get("grant_type")
        answer: dict[str, object]
        if kind == "authorization_code":
            grant = self.mint.redeem(
                form.get("code", ""), purpose="login", redirect_uri=form.get("redirect_uri", "")
            )
            refresh = self.mint.refresh(grant)
            family = self.mint.family(refresh)
            answer = {
                "access_token": self.mint.access(grant, machine=False, family=family),
                "refresh_token": refresh,
            }
        elif kind == "refresh_token":
            answer = self._refreshed(form.get("refresh_token", ""))
        elif kind == "client_credentials":
            self._check_redirect(form)
            grant = self.mint.check(form.get("api_key", ""), "key")
            answer = {"access_token": self.mint.access(grant, machine=True)}
        else:
            raise ApiError(400, "Unsupported grant_type")
        answer["expires_in"] = self.mint.access_seconds
        if self.token_type:
            answer["token_type"] = "Bearer"  # noqa: S105  (the scheme, no secret)
        return Response(200, encode(answer))

    def _refreshed(self, token: str) -> dict[str, object]:
        if not self.rotate_refresh:
            grant = self.mint.check(token, "refresh")
            return {"access_token": self.mint.access(grant, machine=False)}
        grant, successor = self.mint.rotate(token)
        family = self.mint.family(successor)
        return {
            "access_token": self.mint.access(grant, machine=False, family=family),
            "refresh_token": successor,
        }

    def _check_redirect(self, form: Mapping[str, str]) -> None:
        """Optional here, but if it is sent it must be the registered one."""
        sent = form.get("redirect_uri")
        if sent is not None and self.redirect_uri is not None and sent != self.redirect_uri:
            raise ApiError(401, "redirect_uri is not the one registered for this client")
