"""The partition is right for what the real SDKs return, and importing ours imports none of them."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

LIMIT = 300  # seconds for one file


def _run(python: Path, file: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Pytest in the SDKs' environment, with this repository's package and nothing of its test configuration."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith(("HYPERTOOL_", "AWS_", "PYTEST_"))
    }
    environment |= {
        "PYTHONPATH": f"{REPOSITORY / 'instrumentation'}:{HERE / 'sdk'}",
        "NO_PROXY": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        return subprocess.run(
            [
                python,
                "-m",
                "pytest",
                HERE / "sdk" / file,
                "-q",
                "--tb=short",
                "-p",
                "no:cacheprovider",
                "-c",
                os.devnull,
                "-o",
                f"faulthandler_timeout={LIMIT - 60}",
                "--rootdir",
                HERE / "sdk",
                "--confcutdir",
                HERE / "sdk",
                *arguments,
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(part for part in (late.stdout, late.stderr) if isinstance(part, bytes)).decode(errors="replace")
        pytest.fail(f"{file} did not end within {LIMIT} s; where its threads stood a minute before:\n{said[-6000:]}")


@pytest.mark.timeout(1200)
def test_every_row_reads_as_worked_out_by_hand(sdk_python: Path, tmp_path: Path) -> None:
    """Every row of the table reads as worked out by hand."""
    report = tmp_path / "report.xml"
    done = _run(sdk_python, "conformance.py", f"--junitxml={report}")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    rows = int(suite.attrib["tests"]) - int(suite.attrib["skipped"])
    print(f"{rows} rows")
    assert rows >= 100, "rows were lost from the table"


def test_our_import_loads_no_sdk_nor_theirs_ours() -> None:
    """Importing the package loads no SDK, and importing an SDK does not load the package."""
    code = (
        "import sys, hypertool; assert 'hypertool.llm' not in sys.modules; import hypertool.llm; "
        "heavy = {'openai', 'anthropic', 'google', 'botocore', 'mistralai', 'litellm', 'langchain_core', "
        "'pydantic', 'opentelemetry', 'prometheus_client', 'tomllib', 'tomli'}; "
        "loaded = heavy & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "instrumentation")},
    )
    assert done.returncode == 0, done.stderr
