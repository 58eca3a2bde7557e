"""A signed package repository over HTTP, with the addresses that Grafana's has; it lives as long as a test."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .package import architecture


@dataclass
class PackageRepository:
    """`add` packages at any time; `url` is what goes into `grafana_repository_url`."""

    folder: Path
    url: str
    keys: Path
    packages: list[Path] = field(default_factory=list)

    def add(self, *packages: Path) -> None:
        for package in packages:
            pool = self.folder / "pool" / package.name
            pool.parent.mkdir(exist_ok=True)
            os.link(package, pool)
            self.packages.append(pool)
        self._publish()

    @property
    def fingerprint(self) -> str:
        """Of the key that signs it, for `grafana_repository_key_fingerprints`."""
        command = ["gpg", "--homedir", str(self.keys), "--batch", "--with-colons", "--list-keys", "tests"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return next(line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr"))

    def _publish(self) -> None:
        release = self.folder / "dists" / "stable"
        index = release / "main" / f"binary-{architecture()}"
        index.mkdir(parents=True, exist_ok=True)
        text = "\n".join(self._entry(package) for package in self.packages)
        (index / "Packages").write_text(text, encoding="utf-8")
        (index / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        sums = "".join(
            f" {hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_size} {file.relative_to(release)}\n"
            for file in sorted(index.iterdir())
        )
        about = (
            f"Origin: tests\nSuite: stable\nCodename: stable\nArchitectures: {architecture()}\nComponents: main\n"
            f"Date: {self._date()}\nSHA256:\n{sums}"
        )
        (release / "Release").write_text(about, encoding="utf-8")
        self.gpg("--yes", "--clearsign", "--output", str(release / "InRelease"), str(release / "Release"))

    @staticmethod
    def _date() -> str:
        return subprocess.run(
            ["date", "-u", "-R", "-d", "yesterday"], check=True, capture_output=True, text=True
        ).stdout.strip()

    def _entry(self, package: Path) -> str:
        control = subprocess.run(["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        place = package.relative_to(self.folder)
        return f"{control.stdout}Filename: {place}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"

    def gpg(self, *arguments: str) -> None:
        quiet = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        subprocess.run(["gpg", "--homedir", str(self.keys), *quiet, *arguments], check=True, capture_output=True)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def package_repository(folder: Path, address: str = "127.0.0.1") -> Iterator[PackageRepository]:
    """One with a key of its own, at `address`. `folder` must be short: gpg puts sockets into it."""
    keys, files = folder / "gpg", folder / "files"
    keys.mkdir(mode=0o700, parents=True)
    files.mkdir()
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(_Quiet, directory=str(files)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = PackageRepository(files, f"http://{address}:{server.server_address[1]}", keys)
    try:
        made.gpg("--quick-generate-key", "tests", "ed25519", "sign", "never")
        made.gpg("--armor", "--output", str(files / "gpg-full.key"), "--export", "tests")
        made.add()
        yield made
    finally:
        server.shutdown()
        server.server_close()
        subprocess.run(["gpgconf", "--homedir", str(keys), "--kill", "all"], check=False, capture_output=True)
        shutil.rmtree(folder)
