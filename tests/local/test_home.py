import socket
import stat

import pytest

from calqsync.local.children import ServerUser
from calqsync.local.errors import StackError
from calqsync.local.home import Home, port_is_free, reachable, throwaway_home


@pytest.fixture
def home(open_path):
    home = Home(open_path / "state")
    home.open()
    yield home
    home.close()


def test_secrets_are_made_once_and_readable_by_their_owner_only(home):
    secrets = home.secrets()
    assert home.secrets() == secrets
    assert len(set(secrets.values())) == len(secrets)
    mode = (home.folder / "secrets.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_an_unreadable_secrets_file_is_told_with_the_way_out(home):
    (home.folder / "secrets.json").write_text('{"secret_key": ')
    with pytest.raises(StackError, match="--fresh"):
        home.secrets()


def test_a_second_start_from_the_same_folder_is_refused(home):
    with pytest.raises(StackError, match="already runs"):
        Home(home.folder).open()


def test_the_port_of_the_last_time_is_used_again(home):
    assert home.port("postgres") == home.port("postgres")


def test_a_port_that_was_taken_meanwhile_is_replaced(home):
    port = home.port("postgres")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not port_is_free(port)
        assert home.port("postgres") != port


def test_erasing_forgets_secrets_and_data(home):
    before = home.secrets()
    (home.servers() / "data").touch()
    home.erase()
    assert home.secrets() != before
    assert not (home.servers() / "data").exists()


def test_a_private_folder_above_makes_a_path_unreachable(tmp_path):
    inner = tmp_path / "private" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    somebody = ServerUser("somebody", 65533, 65533)
    assert not reachable(inner, somebody)


def test_a_throwaway_home_is_gone_afterwards(tmp_path):
    with throwaway_home(tmp_path) as home:
        home.secrets()
    assert not home.folder.exists()


def test_the_throwaway_home_of_a_killed_run_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "calqsync-left"
    left.mkdir()
    (left / "stack.lock").touch()
    with throwaway_home(tmp_path / "logs"):
        assert not left.exists()
