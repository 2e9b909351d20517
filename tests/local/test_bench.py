import json
import types

import pytest

from benchmarks import Result
from calqsync.local import bench


def benchmark(figure, limit):
    def run():
        result = Result(figures={"seconds": figure})
        result.at_most("seconds", limit)
        return result

    return types.SimpleNamespace(run=run, __doc__="How long it takes.")


@pytest.fixture
def one(monkeypatch):
    def put(figure, limit):
        monkeypatch.setattr(bench, "benchmarks", lambda root: {"one": benchmark(figure, limit)})

    return put


def test_a_bar_that_holds_ends_well(one, capsys, tmp_path):
    one(3, 5)
    assert bench.main(tmp_path, ["one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "one",
        "figures": {"seconds": 3},
        "bars": {"seconds": {"value": 3.0, "limit": 5, "ok": True}},
    }


def test_a_bar_that_falls_short_ends_with_an_error(one, capsys, tmp_path):
    one(6, 5)
    assert bench.main(tmp_path, ["one"]) == 1
    assert "FALLS SHORT" in capsys.readouterr().out


def test_without_a_name_the_benchmarks_are_listed(one, capsys, tmp_path):
    one(1, 1)
    assert bench.main(tmp_path, []) == 0
    assert "How long it takes." in capsys.readouterr().out


def test_the_import_is_among_the_benchmarks(request):
    assert "import" in bench.benchmarks(request.config.rootpath)
