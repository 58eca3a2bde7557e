"""A .deb of Alloy with the official layout, around a double or a real program; and a signed repository of them.

Layout, conffiles, unit and maintainer scripts do what the official package's do (1.18), so that what installs,
upgrades, holds and removes it can be tested where no repository of Grafana's is reachable. Never shipped.
"""

from __future__ import annotations

from .package import DOUBLE, build_package
from .repository import PackageRepository, package_repository

__all__ = ["DOUBLE", "PackageRepository", "build_package", "package_repository"]
