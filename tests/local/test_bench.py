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


def test_benchmarks_are_found_by_name_without_what_they_share(request):
    found = bench.benchmarks(request.config.rootpath)
    assert {"import", "dlt", "unchanged", "isolation", "report", "pages"} <= set(found)
    assert not [name for name in found if name.startswith("_")]


@pytest.fixture
def sized(monkeypatch):
    """A benchmark with an option of its own."""

    def run(*, size):
        return Result(figures={"size": size})

    def add_options(parser):
        parser.add_argument("--size", nargs="+", choices=["small", "large"], default=["small"])

    module = types.SimpleNamespace(run=run, add_options=add_options, __doc__="How large it is.")
    monkeypatch.setattr(bench, "benchmarks", lambda root: {"one": module})


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["one", "--json"], ["small"]),
        (["one", "--size", "large", "small", "--json"], ["large", "small"]),
        (["--json", "one", "--size", "large"], ["large"]),
    ],
)
def test_a_benchmark_takes_options_of_its_own(sized, capsys, tmp_path, words, size):
    assert bench.main(tmp_path, words) == 0
    assert json.loads(capsys.readouterr().out)["figures"] == {"size": size}


@pytest.mark.parametrize("words", [["one", "--size", "huge"], ["one", "--colour"], ["two"]])
def test_a_word_that_no_benchmark_knows_is_an_error(sized, capsys, tmp_path, words):
    with pytest.raises(SystemExit) as ended:
        bench.main(tmp_path, words)
    assert ended.value.code == 2
