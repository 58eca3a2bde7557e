"""The canary of a delivery proof: a gauge whose value identifies the run that looks for it at the destination."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

from ..domain.instruments import DELIVERY_PROOF
from ..runtime.foreign_files import Folder
from ..runtime.logs import once

FILE = "delivery-proof"
# Seconds since the epoch, to the millisecond. The content is not trusted: others may write to this file.
_RUN = re.compile(rb"\d{1,11}(\.\d{1,3})?\n?")
_SIZE = 64


def delivery_proof(state: Path) -> GaugeMetricFamily:
    """The gauge, with a sample while the state directory has a file `delivery-proof` that holds a time.

    Raises nothing: any other file is logged once, and there is no sample.
    """
    family = GaugeMetricFamily(DELIVERY_PROOF.name, DELIVERY_PROOF.help)
    try:
        with Folder(state) as folder:
            content = folder.read(FILE, _SIZE)
    except FileNotFoundError:
        return family
    except OSError as error:
        once.warn(FILE, f"{state / FILE} cannot be read: {error.strerror}; delete it, a delivery proof makes its own")
        return family
    if _RUN.fullmatch(content):
        family.add_metric((), float(content))
    else:
        once.warn(FILE, f"{state / FILE} does not hold a time in seconds; delete it, a delivery proof makes its own")
    return family
