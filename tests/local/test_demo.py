"""The demo from nothing to figures, as a newcomer's first command runs it."""

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def said(request):
    env = {**os.environ, "CALQSYNC_BOOTSTRAP": "off"}
    command = [sys.executable, "manage.py", "demo", "--once", "--json", "--throwaway"]
    done = subprocess.run(
        command, cwd=request.config.rootpath, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # one object and nothing else


def test_both_companies_are_connected_and_imported(said):
    [tenant] = said["tenants"]
    assert [c["name"] for c in tenant["connections"]] == ["EU account", "US account"]
    for connection in tenant["connections"]:
        assert connection["status"] == "active"
        counted = ("customers", "products", "invoices", "invoice_lines", "payments", "requests")
        assert all(connection[name] > 0 for name in counted)


def test_two_years_of_mrr_and_a_runway_are_there(said):
    [tenant] = said["tenants"]
    assert said["ok"]
    assert len(tenant["mrr"]) >= 24
    assert tenant["subscriptions"] > 0
    assert tenant["runway"]["state"] in ("ok", "cashflow_positive")


def test_the_movements_explain_every_month_to_the_cent(said):
    [tenant] = said["tenants"]
    amounts = [0, *(month["amount_minor"] for month in tenant["mrr"])]
    steps = [after - before for before, after in pairwise(amounts)]
    assert steps == [
        moved["new"]
        + moved["expansion"]
        + moved["reactivation"]
        + moved["fx"]
        - moved["contraction"]
        - moved["churn"]
        for moved in tenant["movements"]
    ]


def test_the_time_of_each_part_is_told(said):
    assert set(said["seconds"]) == {"install", "services", "sync", "report"}
