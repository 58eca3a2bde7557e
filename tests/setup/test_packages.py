"""What a package manager says it would add is what the record of the installation holds."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.support.ansible_module import shared_code

APT = """\
Reading package lists...
The following NEW packages will be installed:
  libjs-d3 prometheus
Inst libjs-d3 (3.5.17-4 Debian:13/stable [all])
Inst libc6 [2.41-1] (2.41-2 Debian:13/stable [amd64])
Inst prometheus (2.53.3+ds1-2 Debian:13/stable [amd64])
Conf libjs-d3 (3.5.17-4 Debian:13/stable [all])
Conf prometheus (2.53.3+ds1-2 Debian:13/stable [amd64])
"""
DNF = """\
Dependencies resolved.
================================================================================
 Package              Architecture   Version             Repository        Size
================================================================================
Installing:
 node-exporter        x86_64         1.8.2-1.el9         epel             4.8 M
Installing dependencies:
 libfoo               x86_64         1.0-1.el9           appstream         48 k
Upgrading:
 libbar               x86_64         1.1-1.el9           appstream         48 k

Transaction Summary
================================================================================
Install  2 Packages
"""


class Host:
    """Stands where Ansible's module object does: answers each command with a fixed text."""

    def __init__(self, output: str) -> None:
        self.output = output

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        return 0, self.output, ""


@pytest.fixture(scope="module")
def packages() -> ModuleType:
    return shared_code("packages")


def test_apt_records_additions_and_no_upgrades(packages: ModuleType) -> None:
    """Packages that apt added are recorded, and upgraded ones are not."""
    assert packages.Apt(Host(APT)).would_add(["prometheus"]) == ["libjs-d3", "prometheus"]


def test_dnf_records_additions_and_no_upgrades(packages: ModuleType) -> None:
    """Packages that dnf added are recorded, and upgraded ones are not."""
    assert packages.Dnf(Host(DNF)).would_add(["node-exporter"]) == ["libfoo", "node-exporter"]


def test_package_that_others_need_is_not_removed(packages: ModuleType) -> None:
    """A package that another one needs is not removed."""

    class Shared(Host):
        def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
            takes_more = "--simulate" in argv and "libjs-d3" in argv
            return (
                0,
                "".join(f"Purg {name} [1]\n" for name in argv[argv.index("purge") + 1 :])
                + ("Remv their-app [1]\n" if takes_more else ""),
                "",
            )

    assert packages.Apt(Shared("")).removable({"libjs-d3", "prometheus"}) == ["prometheus"]
