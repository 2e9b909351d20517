"""The web server as in production: granian over TLS, production settings, the test database."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
from allauth.account.internal.flows import login
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from calqsync.local.children import Child
from calqsync.local.home import free_port
from calqsync.local.stack import granian_options
from calqsync.tenancy.accounts.sessions import cookie_of
from tests.conftest import _empty_all_tables
from tests.web.world import World, make_world

ROOT = Path(__file__).parents[2]
SIGNED_BY = "allauth.account.auth_backends.AuthenticationBackend"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process of the run asks the server, so that it starts once."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("web"))


@pytest.fixture(autouse=True)
def _nothing_counted_yet(request: pytest.FixtureRequest) -> None:
    """One test's requests do not count towards the next one's limits at the running server."""
    if "server" in request.fixturenames:
        address = request.getfixturevalue("server").env["REDIS_URL"]
        with redis.Redis.from_url(address) as valkey:
            for key in valkey.scan_iter("*calqsync:rate*"):
                valkey.delete(key)


@dataclass(frozen=True)
class Server:
    """A running web server; requests to it come as from the proxy in front of it."""

    port: int
    certificate: str
    log: Path
    env: dict[str, str]

    @property
    def site(self) -> str:
        return f"https://localhost:{self.port}"

    def ask(self, path: str, method: str = "GET", session: str = "", **options: Any) -> Any:
        """One request, redirects not followed."""
        options.setdefault("headers", {}).setdefault("X-Forwarded-Proto", "https")
        cookies = {"__Host-session": session} if session else {}
        return requests.request(
            method,
            self.site + path,
            cookies=cookies,
            verify=self.certificate,
            allow_redirects=False,
            timeout=120,
            **options,
        )

    def open(self) -> ssl.SSLSocket:
        """A bare connection."""
        context = ssl.create_default_context(cafile=self.certificate)
        plain = socket.create_connection(("localhost", self.port), timeout=60)
        return context.wrap_socket(plain, server_hostname="localhost")

    def say(self, raw: bytes) -> bytes:
        """What comes back for these very bytes, until the server closes or falls silent."""
        with self.open() as line:
            line.sendall(raw)
            line.settimeout(60)  # for the first answer
            heard = b""
            try:
                while more := line.recv(65_536):
                    heard += more
                    line.settimeout(4)
            except (TimeoutError, ConnectionResetError, ssl.SSLError):
                pass
            return heard

    def run(self, script: str) -> str:
        """What a Python script prints under the server's own settings."""
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout


def signed_in(person: Any) -> str:
    """The cookie of a session in which this person has signed in just now."""
    store = SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = SIGNED_BY
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store[login.AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": time.time()}]
    store[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(person.pk)
    store.create()
    return cookie_of(str(store.session_key))


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def _world(database: str, blocker: Any, *, hostile: bool) -> Iterator[World]:
    with blocker.unblock():
        yield make_world(database, hostile=hostile)
        _empty_all_tables(None)


@pytest.fixture(scope="module")
def hostile(django_db_setup: None, django_db_blocker: Any, database_name: str) -> Iterator[World]:
    """A committed company whose every free text attacks, for all tests of a module."""
    yield from _world(database_name, django_db_blocker, hostile=True)


@pytest.fixture
def world(transactional_db: None, database_name: str) -> World:
    """A committed company with figures."""
    return make_world(database_name, hostile=False)


@pytest.fixture(scope="session")
def server(django_db_setup: None, database_name: str) -> Iterator[Server]:
    """Starts once; its pages show what is committed to the test database."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        certificate, key = _certificate(folder)
        port = free_port()
        env = {
            **os.environ,
            "CALQSYNC_ENV": "production",
            "BEHIND_TLS_PROXY": "true",
            "SITE_URL": f"https://localhost:{port}",
            "STATIC_ROOT": str(folder / "static"),
            "EMAIL_URL": "consolemail://",
            # Counts of its own: other runs have people of the same numbers.
            "REDIS_URL": f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{1 + os.getpid() % 15}",
            "PYTHONPATH": str(ROOT),
            "CALQSYNC_BOOTSTRAP": "off",
        }
        for name in ("URL", "OWNER_URL", "DISPATCHER_URL", "SUPPORT_URL"):
            parts = urlsplit(os.environ[f"DATABASE_{name}"])
            env[f"DATABASE_{name}"] = parts._replace(path=f"/{database_name}").geturl()
        collect = [sys.executable, "-m", "django", "collectstatic", "--noinput", "-v", "0"]
        subprocess.run(collect, cwd=ROOT, env=env, check=True)
        tls = ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(key)]
        options = granian_options(host="127.0.0.1", port=port, workers=2)
        child = Child(
            "web",
            [sys.executable, "-m", "granian", *options, *tls, "calqsync.wsgi:application"],
            home=folder,
            logs=folder,
            env=env,
            cwd=ROOT,
        )
        running = Server(port, str(certificate), folder / "web.log", env)

        def answers() -> bool:
            try:
                return running.ask("/healthz").status_code == 200
            except requests.RequestException:
                return False

        try:
            child.wait_until(answers, seconds=180)
            yield running
        finally:
            child.stop()
            child.finish(seconds=20)
