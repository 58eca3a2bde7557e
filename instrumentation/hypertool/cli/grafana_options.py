"""The options of `hypertool grafana`."""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.light_typing import Any


def add_grafana(grafana: Any, count: Callable[[str], int]) -> None:
    """Add the options to the parser of the command; `count` reads a whole number."""
    grafana.add_argument(
        "action",
        choices=("push", "diff", "prune"),
        metavar="{push,diff,prune}",
        help="push: write what differs; diff: write nothing; prune: delete what is ours and no longer among the files",
    )
    for option, metavar, text in (
        ("url", "URL", "address of Grafana (default: GRAFANA_URL)"),
        ("token-file", "FILE", "file with the token, - for stdin (default: GRAFANA_TOKEN)"),
        ("from", "DIR", "dashboards (*.json) and rule files (*.yml) of your own (default: those of this version)"),
        ("ruler-url", "URL", "Mimir, as https://HOST/api/prom (default: GRAFANA_RULER_URL)"),
        ("ruler-user", "ID", "its user, in Grafana Cloud that of the metrics (default: GRAFANA_RULER_USER)"),
        ("ruler-tenant", "ID", "its tenant, for a gateway that takes X-Scope-OrgID (default: GRAFANA_RULER_TENANT)"),
        ("ruler-token-file", "FILE", "file with its token (default: GRAFANA_RULER_TOKEN)"),
        ("data-source", "UID", "the data source of --rules data-source and --rules grafana"),
        ("runbook-url", "URL", "where the links of alerts to the runbook lead"),
        ("ca-file", "FILE", "certificate authorities (PEM) to trust instead of the system's"),
    ):
        grafana.add_argument(f"--{option}", metavar=metavar, help=text)
    grafana.add_argument(
        "--rules",
        metavar="WHERE",
        choices=("none", "ruler", "data-source", "grafana"),
        help="ruler: Mimir itself; data-source: Mimir through Grafana; grafana: managed by Grafana; none "
        "(default: ruler with --ruler-url, else none)",
    )
    grafana.add_argument("--folder", metavar="UID", default="hypertool", help="folder of the dashboards")
    grafana.add_argument(
        "--namespace",
        metavar="NAME",
        help="namespace of the rules (default: hypertool; of --rules grafana: hypertool-alerts)",
    )
    grafana.add_argument("--prune", action="store_true", help="with push: prune afterwards")
    grafana.add_argument("--force", action="store_true", help="overwrite and delete what was edited by hand")
    grafana.add_argument(
        "--prove",
        metavar="SECONDS",
        type=count,
        default=0,
        help="with push: wait up to SECONDS until every rule is evaluated without error",
    )
    grafana.add_argument("--plain-http", action="store_true", help="send the token unencrypted to another machine")
