import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farr import files
from farr.errors import FarrError
from farr.membership import home, keys
from protocols.credentials import Credentials
from protocols.token import PREFIX, JoinToken
from protocols.wire_pb2 import Role, Signed


def make_home(**fields):
    """Return a home with fresh keys; its certificates are not looked at."""
    said = {
        "federation": "stroke",
        "member": "st-mary",
        "role": Role.ROLE_NODE,
        "address": "hub.example.org:7443",
        "ca_certificate": b"CA",
        "certificate": b"OWN",
        "tls_key": keys.to_pem(keys.new_tls_key()),
        "identity": keys.new_identity(),
        "registrar_key": bytes(range(32)),
        **fields,
    }
    return home.Home(
        credentials=Credentials(**said), roster=Signed(suite=1, kind="roster", body=b"R"), catalogue=b"name='x'\n"
    )


def modes(folder):
    """Return the mode of the folder and of every file in it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


@settings(max_examples=15, deadline=None)
@given(
    member=st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True),
    role=st.sampled_from([Role.ROLE_NODE, Role.ROLE_ANALYST, Role.ROLE_COORDINATOR]),
    registrar_key=st.binary(min_size=32, max_size=32),
)
def test_a_home_reads_as_it_was_written(tmp_path_factory, member, role, registrar_key):
    """Whatever the member, its home reads back with the same keys, roster and catalogue."""
    folder = tmp_path_factory.mktemp("home") / "h"
    written = make_home(member=member, role=role, registrar_key=registrar_key)
    home.write(folder, written)
    read = home.read(folder)
    assert read.credentials.identity.public == written.credentials.identity.public
    for name in Credentials.__slots__:
        if name != "identity":
            assert getattr(read.credentials, name) == getattr(written.credentials, name)
    assert (read.roster, read.catalogue) == (written.roster, written.catalogue)


def test_only_the_owner_can_read_a_home(tmp_path):
    """The folder has mode 0700 and each file 0600, whatever the umask is and whoever made the folder."""
    (tmp_path / "h").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        home.write(tmp_path / "h", make_home())
    finally:
        os.umask(before)
    found = modes(tmp_path / "h")
    assert found.pop("h") == 0o700
    assert len(found) == 8
    assert set(found.values()) == {0o600}


def test_a_secret_is_private_from_its_first_moment(tmp_path, monkeypatch):
    """A key's file is opened exclusively with mode 0600 and takes its name only when it is complete and synced."""
    opened, linked = [], []
    real_open, real_link = os.open, os.link
    monkeypatch.setattr(
        os, "open", lambda path, flags, mode=0o777: opened.append((path, flags, mode)) or real_open(path, flags, mode)
    )

    def link(source, target):
        linked.append((source.stat().st_size, stat.S_IMODE(source.stat().st_mode)))
        real_link(source, target)

    monkeypatch.setattr(os, "link", link)
    files.create_private(tmp_path / "tls.key", b"secret")
    written = [(flags, mode) for _path, flags, mode in opened if flags & os.O_WRONLY]
    assert written == [(os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)]
    assert linked == [(6, 0o600)]
    assert [path.name for path in tmp_path.iterdir()] == ["tls.key"]


def test_a_secret_never_replaces_a_file(tmp_path):
    """A key is written under a new name only: what is there stays."""
    (tmp_path / "tls.key").write_bytes(b"first")
    with pytest.raises(FileExistsError):
        files.create_private(tmp_path / "tls.key", b"second")
    assert (tmp_path / "tls.key").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["tls.key"]


def test_threads_that_write_one_file_leave_one_of_their_contents(tmp_path):
    """As in a notebook that trains two models: nobody fails, and what is there is whole."""
    path, contents = tmp_path / "run.json", [bytes([letter]) * 10_000 for letter in b"abcd"]

    def write(content):
        for _ in range(25):
            files.replace(path, content)

    with ThreadPoolExecutor(len(contents)) as threads:
        for done in [threads.submit(write, content) for content in contents]:
            done.result()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_others_can_read_is_refused(tmp_path):
    """A home whose key is open to other users is not used, and the error says what to do."""
    home.write(tmp_path / "h", make_home())
    (tmp_path / "h" / "identity.key").chmod(0o640)
    with pytest.raises(FarrError, match="chmod 600") as refusal:
        home.read(tmp_path / "h")
    assert refusal.value.code == "open-key"


def test_a_home_keeps_its_keys(tmp_path):
    """Writing another member over a home is refused, as its keys cannot be made again."""
    held = make_home()
    home.write(tmp_path / "h", held)
    with pytest.raises(FarrError, match="holds another key"):
        home.write(tmp_path / "h", make_home())
    assert home.read(tmp_path / "h").credentials.tls_key == held.credentials.tls_key


@pytest.mark.parametrize("name", ["ca.pem", "identity.key", "tls.key", "roster.bin", "registrar.pub", "catalogue.toml"])
def test_a_home_that_lost_a_file_is_called_damaged(tmp_path, name):
    """Each file is needed; without one the error names the folder instead of a traceback."""
    home.write(tmp_path / "h", make_home())
    (tmp_path / "h" / name).unlink()
    with pytest.raises(FarrError) as refusal:
        home.read(tmp_path / "h")
    assert refusal.value.code == "damaged-home"


def test_a_cut_off_writing_is_no_home(tmp_path, monkeypatch):
    """A crash at any file leaves either a complete home or a folder that is not called one."""
    real = files.replace
    for crash_at in range(6):
        folder, count = tmp_path / str(crash_at), iter(range(100))

        def replace(path, data, count=count, crash_at=crash_at):
            if next(count) == crash_at:
                raise KeyboardInterrupt
            real(path, data)

        monkeypatch.setattr(files, "replace", replace)
        held = make_home()
        with pytest.raises(KeyboardInterrupt):
            home.write(folder, held)
        assert not home.is_joined(folder)
        with pytest.raises(FarrError, match="not the home of a member"):
            home.read(folder)
        monkeypatch.setattr(files, "replace", real)
        home.write(folder, held)
        assert home.is_joined(folder)


def test_the_default_home_follows_the_environment(tmp_path):
    """$FARR_HOME comes before ~/.farr."""
    assert home.default_home({"FARR_HOME": str(tmp_path)}) == tmp_path
    assert home.default_home({}).name == ".farr"


def test_no_private_key_shows_in_the_text_form_of_credentials():
    """Neither credentials nor a token, printed by accident, show a private key."""
    held = make_home().credentials
    seed = held.identity.seed
    shown = repr(held) + str(held)
    assert "PRIVATE" not in shown
    assert "identity=" not in shown
    assert seed.hex() not in shown
    token = JoinToken(
        federation="stroke", member="st-mary", role=Role.ROLE_NODE, address="a:1", ca_certificate=b"",
        registrar_key=b"", certificate=b"", key=b"\x07" * 32,
    )  # fmt: skip
    assert "x07" not in repr(token)
    assert PREFIX not in repr(token)


def test_two_may_finish_one_renewal(tmp_path, monkeypatch):
    """The service and a command that both find a renewal that was cut off do not take its files from each other."""
    (tmp_path / home.RENEWED).mkdir()
    for name in (home.TLS_KEY, home.IDENTITY, home.CERTIFICATE):
        (tmp_path / home.RENEWED / name).write_bytes(name.encode())
    replace, other = files.replace, threading.Thread(target=home.settle, args=(tmp_path,))

    def replace_slowly(path, data):
        replace(path, data)
        if not other.ident:
            other.start()
            other.join(0.3)  # long enough to come first, were it not kept waiting

    monkeypatch.setattr(files, "replace", replace_slowly)
    home.settle(tmp_path)
    other.join(20)
    assert not other.is_alive()
    assert not (tmp_path / home.RENEWED).exists()
    assert (tmp_path / home.CERTIFICATE).read_bytes() == home.CERTIFICATE.encode()


def test_a_writing_that_fails_leaves_nothing_and_names_the_file(tmp_path, monkeypatch):
    """On a full disk no part of a key stays behind; the file that is named is the one that people know."""
    with pytest.raises(FileNotFoundError) as absent:
        files.replace(tmp_path / "no" / "x.csv", b"x")
    assert absent.value.filename == str(tmp_path / "no" / "x.csv")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        files.create_private(tmp_path / "tls.key", b"secret")
    assert list(tmp_path.iterdir()) == []
