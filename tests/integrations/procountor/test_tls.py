"""Procountor is reached over a verified connection to its own host, or not at all.

Real TLS servers on this machine, with certificates made for each test.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.procountor import transport as transport_module
from integrations.procountor.auth import ProcountorAuth
from integrations.procountor.errors import Nonsense, OurFault, ProcountorError
from integrations.procountor.transport import StaticToken, Transport

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
BODY = b'{"access_token": "granted", "expires_in": 3600}'


@dataclass
class Seen:
    """What reached the server, if anything."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """A certificate authority of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _named("Test authority")
        built = self._begin(self.name, self.key.public_key(), NOW - DAY, NOW + DAY)
        basic = x509.BasicConstraints(ca=True, path_length=0)
        own = built.add_extension(basic, critical=True).sign(self.key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def _begin(
        self, name: Any, public: Any, start: Any, end: Any, *, issuer: Any = None
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer or self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )

    def issue(self, *names: str, days: tuple[int, int] = (-1, 1), by_itself: bool = False) -> Path:
        """A certificate and its key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = _named(names[0])
        start, end = NOW + days[0] * DAY, NOW + days[1] * DAY
        issuer = own if by_itself else None
        built = self._begin(own, key.public_key(), start, end, issuer=issuer)
        alternatives: list[x509.GeneralName] = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        built = built.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        made = built.sign(key if by_itself else self.key, hashes.SHA256())
        file = self.folder / f"{len(list(self.folder.iterdir()))}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return file


@contextmanager
def listening(certificate: Path | None, *, redirect: str = "") -> Iterator[Seen]:
    seen = Seen("")

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            seen.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(302 if redirect else 200)
            if redirect:
                self.send_header("Location", redirect)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        do_GET = do_POST = _any

        def log_message(self, *args: object) -> None:
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            return None

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    seen.url = f"{scheme}://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the client trusts, as it trusts the public ones."""
    made = Authority(tmp_path)
    real = transport_module.restrict

    def trusting(session: Any, host: str) -> Any:
        session = real(session, host)
        session.verify = str(made.file)
        return session

    monkeypatch.setattr(transport_module, "restrict", trusting)
    monkeypatch.setattr("integrations.procountor.auth.restrict", trusting)
    return made


def read(seen: Seen) -> bytes:
    return Transport(seen.url, StaticToken("secret-bearer-token")).get("/api/sessioninfo")


def ask(seen: Seen) -> str:
    auth = ProcountorAuth(
        seen.url, client_id="us", client_secret="our-client-secret", redirect_uri="https://us/"
    )
    return auth.token_from_key("an-api-key-value").value


def test_a_good_certificate_of_the_right_host_is_accepted(authority):
    with listening(authority.issue("localhost")) as seen:
        assert read(seen) == BODY
        assert ask(seen) == "granted"
    assert len(seen.headers) == 2


BAD = {
    "expired": lambda ca: ca.issue("localhost", days=(-3, -1)),
    "not yet valid": lambda ca: ca.issue("localhost", days=(1, 3)),
    "wrong host": lambda ca: ca.issue("api.procountor.com"),
    "self-signed": lambda ca: ca.issue("localhost", by_itself=True),
}


@pytest.mark.parametrize("call", [read, ask])
@pytest.mark.parametrize("how", BAD)
def test_w18_a_bad_certificate_is_refused_and_nothing_is_sent(authority, how, call):
    with listening(BAD[how](authority)) as seen, pytest.raises(OurFault) as refused:
        call(seen)
    assert "certificate" in refused.value.detail
    assert seen.headers == []


@pytest.mark.parametrize("call", [read, ask])
@pytest.mark.parametrize("downgraded", [False, True], ids=["other host", "http downgrade"])
def test_w18b_a_redirect_is_not_followed_and_no_token_leaves(authority, call, downgraded):
    with (
        listening(None if downgraded else authority.issue("127.0.0.1")) as other,
        listening(authority.issue("localhost"), redirect=f"{other.url}/api/sessioninfo") as seen,
        pytest.raises(ProcountorError) as refused,
    ):
        call(seen)
    assert isinstance(refused.value, Nonsense)
    assert len(seen.headers) == 1
    assert other.headers == []


@pytest.mark.parametrize("address", ["http://api.procountor.com", "http://127.0.0.2.example"])
def test_w18c_plain_http_to_another_machine_is_refused_before_any_call(address):
    with pytest.raises(ValueError, match="over https"):
        Transport(address, StaticToken("secret-bearer-token"))
    with pytest.raises(ValueError, match="over https"):
        ProcountorAuth(address, client_id="us", client_secret="x" * 9, redirect_uri="https://us/")


def test_w18d_a_path_cannot_lead_to_another_host(authority):
    with listening(authority.issue("localhost")) as seen:
        reader = Transport(seen.url, StaticToken("secret-bearer-token"))
        for path in ("//evil.example/api", "https://evil.example/", "@evil.example/"):
            with pytest.raises(OurFault):
                reader.get(path)
    assert seen.headers == []
