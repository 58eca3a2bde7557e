"""A repository's key is installed only if it is the one that was named: an exchanged key is an error that says so."""

from __future__ import annotations

import http.server
import itertools
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_module import run_module

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg makes the keys: install gnupg")


class Keys:
    """Keys by name, made by gpg, and a server that publishes some of them."""

    def __init__(self, home: Path, folder: Path, url: str) -> None:
        self.home, self.folder, self.url = home, folder, url

    def gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--passphrase", "", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def fingerprint(self, name: str) -> str:
        lines = self.gpg("--with-colons", "--list-keys", name).decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr"))

    def publish(self, *names: str, armor: bool = True, cut: int = 0) -> None:
        content = b"".join(self.gpg(*(["--armor"] if armor else []), "--export", name) for name in names)
        (self.folder / "key").write_bytes(content[: len(content) - cut])


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    # gpg puts sockets into its folder: the path has to be short.
    with tempfile.TemporaryDirectory(prefix="k") as short:
        home, folder = Path(short, "gpg"), Path(short, "www")
        home.mkdir(mode=0o700)
        folder.mkdir()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Keys(home, folder, f"http://127.0.0.1:{server.server_address[1]}/key")
        for name, kind in (("owner", "rsa2048"), ("stranger", "ed25519")):
            made.gpg("--quick-generate-key", name, kind, "sign", "never")
        yield made
        server.shutdown()
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def install(keys: Keys, path: Path, *names: str, check_mode: bool = False) -> dict[str, Any]:
    given = {"url": keys.url, "path": str(path), "fingerprints": [keys.fingerprint(name) for name in names]}
    return run_module("signing_key", given, check_mode=check_mode)


def shown(path: Path) -> list[str]:
    """Fingerprints of the primary keys in a file, as gpg reads it."""
    done = subprocess.run(
        ["gpg", "--with-colons", "--show-keys", str(path)], check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    return [after.split(":")[9] for line, after in itertools.pairwise(lines) if line.startswith("pub:")]


@pytest.mark.parametrize("armor", [True, False], ids=["armored", "binary"])
@pytest.mark.shared_host("S19")
def test_only_the_named_key_is_installed(keys: Keys, tmp_path: Path, armor: bool) -> None:
    """Of a file with two keys the named one stays, readable for gpg; a second run changes nothing."""
    keys.publish("stranger", "owner", armor=armor)
    path = tmp_path / "keyrings/key.asc"
    assert install(keys, path, "owner", check_mode=True)["changed"] is True
    assert not path.exists()
    assert install(keys, path, "owner")["installed"] == [keys.fingerprint("owner")]
    assert shown(path) == [keys.fingerprint("owner")]
    assert install(keys, path, "owner")["changed"] is False


@pytest.mark.shared_host("S19")
def test_an_exchanged_key_is_refused_and_named(keys: Keys, tmp_path: Path) -> None:
    keys.publish("owner")
    path = tmp_path / "key.asc"
    install(keys, path, "owner")
    before = path.read_bytes()
    keys.publish("stranger")
    answer = install(keys, path, "owner")
    assert answer.get("failed"), answer
    assert keys.fingerprint("stranger") in answer["msg"]
    assert keys.fingerprint("owner") in answer["msg"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_cut_off_key_is_refused(keys: Keys, tmp_path: Path, cut: int) -> None:
    keys.publish("owner", armor=False, cut=cut)
    assert install(keys, tmp_path / "key", "owner").get("failed")


def test_something_else_is_refused(keys: Keys, tmp_path: Path) -> None:
    (keys.folder / "key").write_text("<html>sign in to the network</html>", encoding="utf-8")
    assert "no OpenPGP packet" in install(keys, tmp_path / "key", "owner")["msg"]
