import json

import pytest

from calqsync.local import bootstrap


@pytest.fixture
def place(tmp_path):
    for group in ("", "-test", "-bench"):
        (tmp_path / f"requirements{group}.lock").write_text(f"a lock{group}")
    (tmp_path / "package-lock.json").write_text("a lock of scripts")
    place = bootstrap.Place(tmp_path)
    place.python.parent.mkdir(parents=True)
    place.python.touch()
    place.vendor.mkdir(parents=True)
    for served in place._served():
        served.touch()
    return place


def test_a_new_checkout_misses_packages_and_scripts(tmp_path, place):
    assert place.missing("run") == ["run", "scripts"]


def test_a_prepared_checkout_misses_nothing(place):
    place._mark("run", "scripts")
    assert place.missing("run") == []


def test_the_test_packages_contain_the_run_packages(place):
    place._mark("test", "run", "scripts")
    assert place.missing("run") == []
    assert place.missing("test") == []


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("demo", "run"),
        ("bench", "run"),
        ("bench import", "run"),
        ("bench dlt --json", "bench"),
        ("bench --json dlt", "bench"),
        ("bench report", "bench"),
        ("test", "test"),
        ("mutation", "test"),
    ],
)
def test_only_commands_that_need_them_get_further_packages(place, monkeypatch, command, group):
    asked = []

    def refuse(_place, wanted):
        asked.append(wanted)
        raise bootstrap.CannotPrepare("not here")

    monkeypatch.setattr(bootstrap.Place, "install", refuse)
    with pytest.raises(SystemExit):
        bootstrap.prepare(place.root, ["manage.py", *command.split()])
    assert asked == [group]


@pytest.mark.parametrize("group", ["test", "bench"])
def test_every_lock_contains_the_run_packages(request, group):
    def packages(name):
        lines = (request.config.rootpath / name).read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line}

    assert packages("requirements.lock") <= packages(f"requirements-{group}.lock")


def test_a_changed_lock_file_is_installed_anew(place):
    place._mark("run", "scripts")
    (place.root / "requirements.lock").write_text("other")
    assert place.missing("run") == ["run"]


def test_a_lost_interpreter_is_noticed(place):
    place._mark("run", "scripts")
    place.python.unlink()
    assert place.missing("run") == ["run"]


def test_a_lost_script_is_copied_again(place):
    place._mark("run", "scripts")
    place._served()[0].unlink()
    assert place.missing("run") == ["scripts"]


def test_a_damaged_stamp_counts_as_none(place):
    place.stamp.write_text('{"run": ')
    assert place.missing("run") == ["run", "scripts"]


def test_pip_settings_of_the_environment_win():
    listing = "\n".join(
        [
            "global.index-url='https://one.example/simple'",
            "global.find-links='/wheels'",
            ":env:.index-url='https://two.example/simple'",
            "install.trusted-host='one.example'",
        ]
    )
    assert bootstrap._pip_settings(listing) == {
        "index-url": "https://two.example/simple",
        "find-links": "/wheels",
        "trusted-host": "one.example",
    }


def test_uv_gets_the_users_pip_settings_but_keeps_its_own(place, monkeypatch):
    listing = "global.index-url='https://one.example/simple'\nglobal.extra-index-url='a b'\n"
    monkeypatch.setattr(
        place, "_run", lambda *_, **__: type("Done", (), {"stdout": listing, "returncode": 0})
    )
    monkeypatch.setenv("UV_INDEX", "https://mine.example/simple")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    env = place._uv_environment()
    assert env["UV_DEFAULT_INDEX"] == "https://one.example/simple"
    assert env["UV_INDEX"] == "https://mine.example/simple"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "read-only disk"),
        ("error: Failed to fetch: `https://one.example/simple/amqp/`", "cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "failed its checksum"),
        ("something else\nthe last line", "the last line"),
    ],
)
def test_a_failed_tool_is_told_in_one_sentence(place, said, told):
    done = type("Done", (), {"stdout": said, "returncode": 1})
    with pytest.raises(bootstrap.CannotPrepare, match=told):
        place._expect(done)


def test_lock_files_name_no_registry(request):
    root = request.config.rootpath
    for path in [*root.glob("requirements*.lock"), root / "package-lock.json"]:
        assert "://" not in path.read_text(), path.name
    package = json.loads((root / "package-lock.json").read_text())
    assert all("resolved" not in entry for entry in package["packages"].values())
