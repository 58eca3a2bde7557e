"""The services: the exporter, the alert log and the gateway."""

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


def gateway(_: argparse.Namespace) -> int:
    """`hypertool gateway`."""
    from ..errors import HypertoolError

    try:
        from ..gateway.server import run_gateway
    except ModuleNotFoundError as error:
        raise HypertoolError(
            f"the gateway needs {error.name}, which is not installed; install it with "
            "`pip install 'hypertool-observability[gateway]'`"
        ) from None
    return run_gateway()
