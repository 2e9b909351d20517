"""The embedded servers, really started; each test has its own folder."""

import os
import signal
import socket

import psycopg2
import pytest
import redis

from calqsync.local.environment import ROLE_VARIABLES
from calqsync.local.errors import StackError
from calqsync.local.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def root(open_path, monkeypatch):
    """A checkout's folder, with no servers of our own set."""
    for variable in (*ROLE_VARIABLES, "REDIS_URL", "PROCOUNTOR_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    return open_path


def one(dsn, query):
    connection = psycopg2.connect(dsn)
    with connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchone()
    connection.close()
    return found


def test_a_second_start_finds_the_data_of_the_first(root):
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
        first = stack.env["DATABASE_OWNER_URL"]
        connection = psycopg2.connect(first)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.close()
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
        assert stack.env["DATABASE_OWNER_URL"] == first
        assert one(first, "SELECT answer FROM kept") == (42,)


def test_a_start_recovers_from_killed_servers(root):
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
        for child in stack.children.values():
            child.process.send_signal(signal.SIGKILL)
            child.process.wait()
    assert list((root / ".calqsync" / "servers" / "postgres").glob("postmaster.pid"))
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
        assert one(stack.env["DATABASE_URL"], "SELECT 1") == (1,)


def test_the_stale_pid_of_another_program_does_not_stop_a_start(root):
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
    stale = root / ".calqsync" / "servers" / "postgres" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n")
    with Stack(root, throwaway=False) as stack:
        stack.start_services()


def test_data_of_another_major_version_are_refused_with_the_way_out(root):
    with Stack(root, throwaway=False) as stack:
        stack.start_services()
    (root / ".calqsync" / "servers" / "postgres" / "PG_VERSION").write_text("16\n")
    with (
        Stack(root, throwaway=False) as stack,
        pytest.raises(StackError, match=r"PostgreSQL 16.*--fresh"),
    ):
        stack.start_services()


def test_the_servers_take_no_connection_without_a_password(root):
    with Stack(root, throwaway=True) as stack:
        stack.start_services()
        port = stack.postgres.port
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(f"postgres://calqsync_app:wrong@127.0.0.1:{port}/calqsync")
        valkey = redis.Redis.from_url(stack.env["REDIS_URL"])
        assert valkey.config_get("appendonly") == {"appendonly": "yes"}
        assert valkey.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=valkey.connection_pool.connection_kwargs["port"]).ping()


def test_text_sorts_the_same_on_every_machine(root):
    with Stack(root, throwaway=True) as stack:
        stack.start_services()
        query = (
            "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database"
            " WHERE datname = 'calqsync'"
        )
        assert one(stack.env["DATABASE_URL"], query) == ("UTF8", "b", "C.UTF-8")


def test_an_own_database_replaces_the_embedded_one_with_all_four_roles(root, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://calqsync_app:x@db.example/calqsync")
    with (
        Stack(root, throwaway=False) as stack,
        pytest.raises(StackError, match="DATABASE_OWNER_URL, DATABASE_DISPATCHER_URL"),
    ):
        stack.start_services()


def test_a_taken_web_port_is_told_with_another_to_try(root):
    with socket.socket() as other, Stack(root, throwaway=True) as stack:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} is in use.*--port"):
            stack.start_web(port)
