"""A process that could reach past row-level security refuses to start, whichever it is."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg2
import pytest

from calqsync.local.environment import ROLE_VARIABLES
from calqsync.local.home import free_port
from calqsync.local.stack import Stack
from calqsync.tenancy.isolation import roles
from tests.conftest import superuser_connection

PASSWORD = "probe"  # of roles that live for one test
PROCESSES = {
    "web": ["granian", "--interface", "wsgi", "--workers", "1", "calqsync.wsgi:application"],
    "runserver": ["django", "runserver", "--noreload"],
    "worker": ["celery", "-A", "calqsync", "worker", "-c", "1", "-Q", "none", "--without-mingle"],
    "beat": ["celery", "-A", "calqsync", "beat", "-S", "calqsync.jobs.beat:DispatchScheduler"],
}
# How a role is made that must be refused, and a word of the reason.
DANGEROUS = {
    "superuser": ("SUPERUSER", "", "superuser"),
    "bypass": ("BYPASSRLS", "", "skips row-level security"),
    "creates_roles": ("CREATEROLE", "", "create roles"),
    "member_of_the_owner": ("", f"GRANT {roles.OWNER} TO {{role}}", "owns tables"),
    "may_become_the_owner": ("NOINHERIT", f"GRANT {roles.OWNER} TO {{role}}", "owns tables"),
    "reads_all": ("", "GRANT pg_read_all_data TO {role}", "pg_read_all_data"),
    "reads_files": ("", "GRANT pg_read_server_files TO {role}", "pg_read_server_files"),
    "creates": ("", "GRANT CREATE ON SCHEMA public TO {role}", "create objects"),
    "truncates": ("", "GRANT TRUNCATE ON tenancy_tenant TO {role}", "empty tables"),
}


@pytest.fixture
def address(database_name):
    """The address of the test database for a role of this name."""

    def make(role, password=PASSWORD):
        parts = urlsplit(os.environ["DATABASE_URL"])
        host = f"{role}:{password}@{parts.hostname}:{parts.port}"
        return parts._replace(netloc=host, path=f"/{database_name}").geturl()

    return make


@pytest.fixture
def probe(truth, database_name):
    """Makes a role with these flags and grants; it is gone after the test."""
    name = f"calqsync_probe_{os.getpid()}"

    def make(flags="", grant=""):
        truth.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {flags}")
        truth.execute(f'GRANT CONNECT ON DATABASE "{database_name}" TO {name}')
        if grant:
            truth.execute(grant.format(role=name))
        return name

    yield make
    truth.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if truth.fetchone():
        truth.execute(f"DROP OWNED BY {name}")
        truth.execute(f"DROP ROLE {name}")


def dangers_of(address):
    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        found = roles.dangers(cursor)
    connection.close()
    return found


@pytest.mark.parametrize("kind", DANGEROUS)
def test_a_role_that_reaches_past_row_level_security_is_seen(kind, probe, address):
    flags, grant, reason = DANGEROUS[kind]
    found = dangers_of(address(probe(flags, grant)))
    assert any(reason in danger for danger in found), found


def test_a_superuser_who_plays_the_apps_role_is_seen(probe, address):
    role = probe("SUPERUSER")
    found = dangers_of(f"{address(role)}?options=-crole%3D{roles.APP}")
    assert any("superuser" in danger for danger in found), found


def test_the_roles_that_serve_are_harmless(django_db_setup):
    from django.db import connections

    for alias in roles.SERVING_ALIASES:
        settings = connections[alias].settings_dict
        assert (
            dangers_of(
                f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}"
                f":{settings['PORT']}/{settings['NAME']}"
            )
            == []
        ), alias


@pytest.mark.stack
@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_starts_with_the_owners_role(process, address):
    owner = urlsplit(os.environ["DATABASE_OWNER_URL"])
    command = [*PROCESSES[process]]
    if process == "web":
        command[1:1] = ["--port", str(free_port())]
    if process == "runserver":
        command.append(f"127.0.0.1:{free_port()}")
    env = {**os.environ, "DATABASE_URL": address(roles.OWNER, owner.password)}
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "the connection 'default' owns tables" in said


@pytest.mark.stack
@pytest.mark.parametrize("process", ["worker", "beat"])
def test_no_process_starts_with_a_dispatcher_that_skips_row_level_security(process, probe, address):
    env = {**os.environ, "DATABASE_DISPATCHER_URL": address(probe("BYPASSRLS"))}
    env["DATABASE_URL"] = address(roles.APP, urlsplit(env["DATABASE_URL"]).password)
    env.pop("DATABASE_SUPPORT_URL")
    ended = subprocess.run(
        [sys.executable, "-m", *PROCESSES[process]],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode != 0
    assert "'dispatcher' skips row-level security" in ended.stdout + ended.stderr


def test_making_the_roles_again_takes_away_what_was_given_by_hand(truth, database_name):
    truth.execute(f"GRANT TRUNCATE ON tenancy_tenant TO {roles.APP}")
    truth.execute(f'GRANT CREATE ON DATABASE "{database_name}" TO {roles.APP}')
    passwords = {
        role: urlsplit(os.environ[variable]).password for variable, role in ROLE_VARIABLES.items()
    }
    roles.create_roles(os.environ["TEST_SUPERUSER_URL"], passwords, database_name)
    app = superuser_connection(database_name)
    with app.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {roles.APP}")
        assert roles.dangers(cursor) == []
        cursor.execute("SELECT has_database_privilege(current_database(), 'CREATE')")
        assert cursor.fetchone() == (False,)
    app.close()


def test_an_alias_without_an_address_does_not_exist(monkeypatch):
    read = "from django.conf import settings; print(sorted(settings.DATABASES))"
    env = {key: value for key, value in os.environ.items() if key not in ROLE_VARIABLES}
    env["DATABASE_URL"] = os.environ["DATABASE_URL"]
    done = subprocess.run(
        [sys.executable, "-c", read], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['default']"


@pytest.mark.parametrize(
    ("process", "given"),
    [
        ("web", {"DATABASE_URL", "DATABASE_DISPATCHER_URL", "DATABASE_SUPPORT_URL"}),
        ("worker", {"DATABASE_URL"}),
        ("beat", {"DATABASE_URL", "DATABASE_DISPATCHER_URL"}),
        ("sandbox", set()),
    ],
)
def test_a_process_of_the_stack_gets_only_the_addresses_that_it_needs(
    process, given, tmp_path, monkeypatch
):
    monkeypatch.setenv("DATABASE_SUPERUSER_URL", "postgres://root@localhost/x")
    monkeypatch.setenv("DATABASE_OWNER_URL_FILE", "/run/secrets/owner")
    show = "import os; print(sorted(name for name in os.environ if '_URL' in name))"
    with Stack(tmp_path, throwaway=True) as stack:
        child = stack._python(process, "-c", show)
        child.process.wait(120)
        shown = child.fresh_log()
        child.finish(seconds=5)
    names = {name for name in shown.split("'") if name.startswith(("DATABASE", "TEST_SUPER"))}
    assert names == given
