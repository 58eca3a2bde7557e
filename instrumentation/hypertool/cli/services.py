"""The services that systemd runs: the exporter and the alert log."""

from __future__ import annotations

import argparse


def exporter(_: argparse.Namespace) -> int:
    """`hypertool exporter`."""
    from ..service.exporter import run_exporter

    return run_exporter()


def alert_log(_: argparse.Namespace) -> int:
    """`hypertool alert-log`."""
    from ..service.alert_log import run_alert_log

    return run_alert_log()
