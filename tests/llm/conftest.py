"""The real SDKs in an environment of their own: heavy, wanted by these tests only, and made once per set of pins."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from tests.llm.calls import isolated as isolated
from tests.llm.calls import metrics as metrics
from tests.support.debian_binaries import cache_dir
from tests.support.pinned_python import make
from tests.support.sinks import host as host
from tests.support.sinks import langfuse as langfuse
from tests.support.sinks import receiver as receiver

REPOSITORY = Path(__file__).resolve().parents[2]
PINS = REPOSITORY / "requirements" / "llm.txt"
_UNREACHABLE = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "name resolution",
    "ConnectTimeout",
    "ReadTimeout",
    "timed out",
    "Network is unreachable",
    "Max retries exceeded",
    "ProxyError",
    "(from versions: none)",
)


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """A Python that has the SDKs of requirements/llm.txt."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]
    place = cache_dir() / f"llm-sdks-{version}-{wanted}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f"llm-sdks-{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "made").exists():
            _make(place)
            for old in place.parent.glob(f"llm-sdks-{version}-*"):
                if old != place:
                    shutil.rmtree(old)
    return place / "bin" / "python"


def _make(place: Path) -> None:
    done = make(place, PINS, "--only-binary", ":all:", seconds=900)
    if done.returncode == 0:
        (place / "made").touch()
        return
    shutil.rmtree(place)
    said = done.stderr.strip()
    if any(mark in said for mark in _UNREACHABLE):
        pytest.skip(
            f"the SDKs of {PINS.name} cannot be fetched: pip reaches no package index "
            f"({said.splitlines()[-1][:200]}); set PIP_INDEX_URL or PIP_FIND_LINKS to one that has them"
        )
    pytest.fail(f"pip cannot install {PINS}:\n{said[-2000:]}")
