"""The login pages: user name and password, then the choice of one company, then the way back."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlencode

from integrations.sandbox.company import Company
from integrations.sandbox.http import Request, Response
from integrations.sandbox.tokens import CODE_SECONDS, Grant, Mint
from integrations.sandbox.users import USERS, User, by_login

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem;
 color: #1b2330; background: #f4f6f8; }}
main {{ background: #fff; border: 1px solid #d5dbe3; border-radius: 8px; padding: 1.5rem; }}
label {{ display: block; margin: .75rem 0 .25rem; }}
label.choice {{ margin: .5rem 0; }}
input[type=text], input[type=password] {{ width: 100%; padding: .5rem; box-sizing: border-box; }}
button {{ margin: 1rem .5rem 0 0; padding: .5rem 1rem; }}
.hint {{ background: #eef3fb; padding: .5rem .75rem; border-radius: 6px; }}
.error {{ color: #a01818; }}
</style></head>
<body><main><h1>{title}</h1>{body}</main>
<p>A stand-in for Procountor, for demos and tests. No real data.</p></body></html>
"""


def page(title: str, body: str, status: int = 200) -> Response:
    html = _PAGE.format(title=escape(title), body=body)
    return Response(status, html.encode(), "text/html; charset=utf-8")


def redirect(uri: str, fields: Mapping[str, str]) -> Response:
    return Response(302, headers=[("Location", f"{uri}?{urlencode(fields)}")])


@dataclass(slots=True)
class Login:
    """Serves `/login` and `/keylogin`."""

    mint: Mint
    companies: Mapping[int, Company]
    redirect_uri: str | None = None
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __call__(self, request: Request) -> Response:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        problem = self._problem(query)
        if problem:
            return page("Login is not possible", f'<p class="error">{escape(problem)}</p>', 400)
        if request.method == "GET":
            return self._ask_login()
        form = request.form()
        if form.get("action") == "cancel":
            return self._back(query, error="access_denied")
        if "ticket" in form:
            return self._choose(request, query, form)
        user = by_login(form.get("username", ""), form.get("password", ""))
        if user is None:
            return self._ask_login("Wrong user name or password.")
        return self._ask_company(user)

    def _problem(self, query: Mapping[str, str]) -> str | None:
        if query.get("client_id") != self.mint.client_id:
            return "Unknown client_id."
        if query.get("response_type") != "code":
            return "response_type must be code."
        uri = query.get("redirect_uri", "")
        if not uri or "?" in uri or (self.redirect_uri and uri != self.redirect_uri):
            return "redirect_uri is not the one registered for this client."
        return None

    def _ask_login(self, error: str = "") -> Response:
        shown = f'<p class="error" role="alert">{error}</p>' if error else ""
        demo = USERS[0]
        body = f"""{shown}
<p class="hint">Demo login: <b>{demo.username}</b> with password <b>{demo.password}</b></p>
<form method="post">
<label for="username">User name</label>
<input type="text" id="username" name="username" value="{demo.username}" autocomplete="username">
<label for="password">Password</label>
<input type="password" id="password" name="password" value="{demo.password}"
 autocomplete="current-password">
<button type="submit" name="action" value="login">Log in</button>
<button type="submit" name="action" value="cancel">Cancel</button>
</form>"""
        return page("Procountor login", body)

    def _ask_company(self, user: User, error: str = "") -> Response:
        shown = f'<p class="error" role="alert">{error}</p>' if error else ""
        choices = "".join(
            f'<label class="choice"><input type="radio" name="company" value="{company.id}">'
            f" {escape(company.name)} ({company.business_id})</label>"
            for company in self.companies.values()
        )
        body = f"""{shown}
<form method="post"><fieldset><legend>Which company do you want to connect?</legend>
{choices}</fieldset>
<input type="hidden" name="ticket" value="{self._ticket(user.id)}">
<button type="submit" name="action" value="choose">Continue</button>
<button type="submit" name="action" value="cancel">Cancel</button>
</form>"""
        return page("Choose a company", body)

    def _choose(
        self, request: Request, query: Mapping[str, str], form: Mapping[str, str]
    ) -> Response:
        user = next((u for u in USERS if form["ticket"] == self._ticket(u.id)), None)
        if user is None:
            return self._ask_login("Your login has expired. Log in again.")
        chosen = form.get("company", "")
        if not chosen.isdigit() or int(chosen) not in self.companies:
            return self._ask_company(user, "Choose a company.")
        code = self.mint.code(
            Grant(user.id, int(chosen)),
            purpose=request.path.strip("/"),
            redirect_uri=query["redirect_uri"],
        )
        return self._back(query, code=code)

    def _back(self, query: Mapping[str, str], *, code: str = "", error: str = "") -> Response:
        fields = {"error": error} if error else {"code": code, "expires_in": str(CODE_SECONDS)}
        if "state" in query:
            fields["state"] = query["state"]
        return redirect(query["redirect_uri"], fields)

    def _ticket(self, user_id: int) -> str:
        return hmac.new(self._key, str(user_id).encode(), hashlib.sha256).hexdigest()
