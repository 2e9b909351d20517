"""What every answer of the real server carries, whatever was asked; and what it never answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest

from calqsync.local.stack import granian_options
from tests.architecture import routes as table
from tests.web.conftest import ROOT, Server, signed_in
from tests.web.world import address

ROUTES = table.routes()
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "server": "CalqSync",
}
POLICY = {
    "default-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "style-src": "'self'",
}


def wrong_with(answer: Any) -> list[str]:
    """What is missing or too much in the headers of one answer."""
    has = answer.headers
    found = [f"{name}: {has.get(name)}" for name, want in ALWAYS.items() if has.get(name) != want]
    if "max-age=63072000" not in has.get("strict-transport-security", ""):
        found.append("no HSTS")
    if has.get("referrer-policy") not in {"same-origin", "no-referrer"}:
        found.append("no referrer policy")
    if "camera=()" not in has.get("permissions-policy", ""):
        found.append("no permissions policy")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in has.get("content-security-policy", "").split(";")
    )
    loose = {name for name, want in POLICY.items() if policy.get(name) != want}
    found += [f"{name} {policy.get(name)}" for name in loose]
    scripts = policy.get("script-src", "absent")
    if not re.fullmatch(r"|'self'|'nonce-[\w+/=]+'( 'self')?", scripts):
        found.append(f"script-src {scripts}")
    if "unsafe" in str(policy) or "*" in str(policy) or "http:" in str(policy):
        found.append(f"a loose policy: {policy}")
    cached = has.get("cache-control", "")
    if "/static/" not in answer.url and not {"no-store", "private"} <= set(cached.split(", ")):
        found.append(f"may be stored: {cached}")
    if "access-control-allow-origin" in has:
        found.append("readable from other origins")
    return found


def test_the_walks_session_counts(server: Server, committed_cast: Any) -> None:
    session, slug = signed_in(committed_cast.alice), committed_cast.tenant.slug
    answer = server.ask(f"/t/{slug}/customers/", session=session)
    assert answer.status_code == 200
    assert "Kuura Oy" in answer.text


def every_answer(server: Server, session: str, slug: str) -> Iterator[tuple[str, Any]]:
    for route in ROUTES:
        path = address(route, slug)
        for method in ("GET", "POST"):
            yield f"{method} {path}", server.ask(path, method, session)


def test_w9_every_route_answers_with_all_headers(server: Server, committed_cast: Any) -> None:
    session, slug = signed_in(committed_cast.alice), committed_cast.tenant.slug
    seen, wrong = set(), {}
    for name, answer in every_answer(server, session, slug):
        seen.add(answer.status_code)
        if found := wrong_with(answer):
            wrong[name] = found
    assert wrong == {}
    assert {200, 302, 403, 404, 405} <= seen, "the walk met hardly any kind of answer"
    assert 500 not in seen


def test_w9b_a_guest_gets_all_headers_too(server: Server) -> None:
    wrong = {
        name: found
        for name, answer in every_answer(server, "", "kuura")
        if (found := wrong_with(answer))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/nowhere/", "GET", {}, 404),
        ("/static/nothing.css", "GET", {}, 404),
        ("/terms", "GET", {}, 301),
        ("/terms/", "GET", {"Host": "evil.example"}, 400),
        ("/terms/", "GET", {"X-Forwarded-Host": "evil.example"}, 200),
        ("/terms/", "DELETE", {}, 403),
        ("/terms/", "TRACE", {}, 405),
        ("/terms/", "OPTIONS", {}, 204),
        ("/accounts/login/", "POST", {"Content-Length": "2000000"}, 413),
        ("/terms/?q=" + "a" * 9_000, "GET", {}, 414),
        ("/terms/?q=%00%ff", "GET", {}, 200),
    ],
)
def test_w9c_refusals_have_all_headers(
    server: Server, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    answer = server.ask(path, method, headers=dict(headers))
    assert answer.status_code == status
    assert wrong_with(answer) == []


def test_w9d_static_files_have_all_headers_and_may_be_kept(server: Server) -> None:
    page = server.ask("/terms/").text
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(found) > 5
    answers = [server.ask(path) for path in found]
    assert [wrong_with(answer) for answer in answers] == [[]] * len(answers)
    assert all("immutable" in answer.headers["cache-control"] for answer in answers)


def test_w9e_plain_http_is_led_to_https(server: Server) -> None:
    answer = server.ask("/terms/", headers={"X-Forwarded-Proto": "http"})
    assert answer.status_code == 301
    assert answer.headers["location"] == f"{server.site}/terms/"


def test_w9f_each_page_has_a_nonce_of_its_own_on_each_script(server: Server) -> None:
    nonces = set()
    for _ in range(3):
        answer = server.ask("/accounts/login/")
        (nonce,) = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
        tags = re.findall(r"<script[^>]*>", answer.text)
        active = [tag for tag in tags if 'type="application/json"' not in tag]
        assert len(active) > 2
        assert [tag for tag in active if f'nonce="{nonce}"' not in tag] == []
        assert not re.search(r"\son\w+=|javascript:|style=", answer.text)
        nonces.add(nonce)
    assert len(nonces) == 3


def test_w9g_head_answers_as_get_does(server: Server, committed_cast: Any) -> None:
    session, slug = signed_in(committed_cast.alice), committed_cast.tenant.slug
    differ = {}
    for route in ROUTES:
        path = address(route, slug)
        if "logout" in path or "callback" in path:
            continue
        got, head = (server.ask(path, method, session) for method in ("GET", "HEAD"))
        if got.status_code != head.status_code or head.content:
            differ[path] = (got.status_code, head.status_code)
    assert differ == {}


def cookies_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in answer.raw.headers.getlist("set-cookie"):
        found |= SimpleCookie(line)
    return found


def test_w8_cookies_are_bound_to_this_host_and_to_https(
    server: Server, committed_cast: Any
) -> None:
    form = server.ask("/accounts/login/")
    csrf = cookies_of(form)["__Host-csrf"].value
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
    assert token is not None
    signed = server.ask(
        "/accounts/login/",
        "POST",
        data={
            "login": committed_cast.alice.email,
            "password": "correct horse battery",
            "csrfmiddlewaretoken": token[1],
        },
        headers={"Referer": f"{server.site}/accounts/login/", "Cookie": f"__Host-csrf={csrf}"},
    )
    set_by_us = cookies_of(form) | cookies_of(signed)
    assert set_by_us
    for name, cookie in set_by_us.items():
        assert name.startswith("__Host-"), name
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["path"] == "/", name
        assert not cookie["domain"], name


def test_w8b_every_cookie_that_we_name_has_the_prefix_in_production(server: Server) -> None:
    script = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "from allauth.mfa import app_settings as mfa\n"
        "ours = [n for n in dir(settings) if 'COOKIE_NAME' in n and settings.is_overridden(n)]\n"
        "print(*(getattr(settings, name) for name in ours))\n"
        "print(settings.MESSAGE_STORAGE, mfa.TRUST_ENABLED)"
    )
    names, rest = server.run(script).splitlines()
    assert len(names.split()) >= 3
    assert [name for name in names.split() if not name.startswith("__Host-")] == []
    assert rest.endswith("SessionStorage False"), "no cookie but these"


def test_w12_an_unknown_host_is_refused(server: Server) -> None:
    for host in ("evil.example", f"localhost:{server.port}@evil.example", "localhost.evil.example"):
        assert server.ask("/accounts/password/reset/", headers={"Host": host}).status_code == 400


def test_w12b_letters_lead_to_the_configured_host(
    client: Any, cast: Any, mailoutbox: Any, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "also-ours.example"]
    settings.SITE_URL = "https://calqsync.example"
    client.post(
        "/accounts/password/reset/",
        {"email": cast.alice.email},
        headers={"host": "also-ours.example"},
    )
    (mail,) = mailoutbox
    links = re.findall(r"https?://[^/\s]+", mail.body)
    assert "also-ours.example" not in mail.body
    assert set(links) <= {"https://calqsync.example"}


@pytest.mark.parametrize(
    "path",
    [
        *("/.git/config", "/.env", "/debug/", "/__debug__/", "/metrics", "/metrics/", "/local/"),
        *(
            "/static/../calqsync/settings.py",
            "/static/%2e%2e/manage.py",
            "/docs/",
            "/server-status",
        ),
        *("/manage.py", "/phpinfo.php", "/api/", "/.well-known/openid-configuration"),
    ],
)
def test_w19_nothing_but_the_product_is_served(server: Server, path: str) -> None:
    assert server.ask(path).status_code == 404


def test_w19b_the_api_is_described_to_anybody_and_opened_by_no_cookie(
    server: Server, committed_cast: Any
) -> None:
    described = server.ask("/api/v1/openapi.json")
    assert described.status_code == 200
    assert "Kuura" not in described.text
    signed = signed_in(committed_cast.vera)
    for path in ("/api/v1/company", "/api/v1/report", "/api/v1/customers"):
        assert server.ask(path, session=signed).status_code == 401


def test_w19c_members_never_see_the_console(server: Server, committed_cast: Any) -> None:
    answer = server.ask("/admin/tenancy/tenant/", session=signed_in(committed_cast.alice))
    assert answer.status_code in {302, 403, 404}
    assert "Kuura" not in answer.text


def test_w19d_the_console_can_be_bound_to_a_host(client: Any, settings: Any, db: None) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "console.example"]
    settings.ADMIN_HOSTS = ["console.example"]
    assert client.get("/admin/login/", headers={"host": "testserver"}).status_code == 404
    assert client.get("/admin/login/", headers={"host": "console.example"}).status_code != 404


def test_w20_signing_out_clears_what_the_browser_keeps(client: Any, cast: Any) -> None:
    client.force_login(cast.alice)
    page = client.get(cast.url("customers/"))
    assert "no-store" in page["Cache-Control"]
    out = client.post("/accounts/logout/")
    assert out["Clear-Site-Data"] == '"cache", "storage"'
    assert client.get(cast.url("customers/")).status_code == 302


def test_w20b_only_signing_out_clears(client: Any, cast: Any) -> None:
    client.force_login(cast.alice)
    assert "Clear-Site-Data" not in client.get(cast.url("customers/"))


def test_the_process_keeps_its_environment_out_of_requests(server: Server) -> None:
    script = (
        "import os\n"
        "from calqsync import wsgi\n"
        "seen = {}\n"
        "wsgi._django = lambda environ, start: seen.update(environ) or [b'']\n"
        "wsgi.application({**os.environ, 'PATH_INFO': '/'}, None)\n"
        "print(seen)"
    )
    assert server.run(script).strip() == "{'PATH_INFO': '/'}"


def test_the_image_starts_the_same_server_as_these_tests() -> None:
    image = (ROOT / "calqsync" / "Dockerfile").read_text()
    command = re.findall(r'"([^"]+)"', image[image.rindex("CMD") :])
    ours = granian_options(host="0.0.0.0", port=8000, workers=2)
    assert command == ["python", "-m", "granian", *ours, "calqsync.wsgi:application"]
