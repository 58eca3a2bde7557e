"""Where the dashboards and the alert rules are: inside an installed package, or in the checkout that it runs from."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
# Name in the wheel (pyproject.toml puts it there) and in the repository: each file exists once.
_PLACES = {"dashboards": "grafana/dashboards", "rules": "prometheus/rules"}


def shipped(kind: str) -> Path:
    """The folder of the `dashboards` (`*.json`) or the `rules` (`*.yml`).

    Raises ConfigError where neither place has it, as in an image that holds only the code.
    """
    installed = _PACKAGE / "shipped" / kind
    checkout = _PACKAGE.parents[1] / _PLACES[kind]
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"this installation has no {kind}: expected them in {installed} or {checkout}; "
        f"install the wheel, or name a folder that has them"
    )
