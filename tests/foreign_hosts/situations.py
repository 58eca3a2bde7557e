"""What is on a host before us, as data: one row a situation, with what must hold before, meanwhile and afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: Debian release by host. Situations that do not touch each other share one.
HOSTS = {"tarball": "bookworm", "packaged": "trixie", "removed": "bookworm"}
SCRIPTS = Path(__file__).with_name("prepare")


@dataclass(frozen=True)
class Situation:
    """One thing that is on a host before us. `script` in prepare/ makes it, as a person would have."""

    name: str
    host: str
    script: str
    #: Commands that print the same before the installation and after it was taken back.
    same: tuple[str, ...] = ()
    #: Commands that succeed while we are installed.
    meanwhile: tuple[str, ...] = ()
    #: Words of the uninstallation's output.
    said: tuple[str, ...] = ()
    #: Environment of the script: addresses that only the test knows.
    uses: tuple[str, ...] = field(default=())


#: Without any proxy, because it is asked on the host's own loopback.
ASK = (
    "python3 -c 'import sys, urllib.request as u; "
    "print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1]).read().decode())'"
)

SITUATIONS = (
    Situation(
        "a tarball's Prometheus with data in Debian's folders, which are links to another disk",
        "tarball",
        "tarball-prometheus",
        same=(
            "cat /etc/prometheus/prometheus.yml /etc/default/prometheus",
            "find /etc/prometheus /var/lib/prometheus/metrics2/keep -printf '%p %u:%g %m\\n' | sort",
            "sha256sum /var/lib/prometheus/metrics2/keep/* /usr/local/bin/prometheus",
            "find /var/lib/prometheus /opt /srv/disk -maxdepth 1 -printf '%p %l %u:%g %m\\n' | sort",
            "systemctl is-active prometheus",
            "systemctl is-enabled prometheus",
            ASK + " 'http://127.0.0.1:9090/api/v1/label/job/values'",
        ),
        said=("prometheus.service",),
    ),
    Situation(
        "a program of somebody else where a package of ours has its own",
        "tarball",
        "foreign-binary",
        same=("sha256sum /usr/bin/prometheus-node-exporter", "stat -c '%a %U %Y' /usr/bin/prometheus-node-exporter"),
    ),
    Situation(
        "an Alertmanager and a node exporter of somebody else, on their usual ports",
        "tarball",
        "other-exporters",
        same=(
            "systemctl is-active alertmanager node_exporter",
            "systemctl is-enabled alertmanager node_exporter",
            ASK + " http://127.0.0.1:9093/",
            ASK + " http://127.0.0.1:9100/",
        ),
        meanwhile=(
            'test "$(' + ASK + ' http://127.0.0.1:9093/whose)" = theirs',
            'test "$(' + ASK + ' http://127.0.0.1:9100/whose)" = theirs',
            ASK + " http://127.0.0.1:9200/metrics | grep -q node_load1",
        ),
    ),
    Situation(
        "Grafana's repository by hand, in one line",
        "tarball",
        "grafana-one-line",
        same=("apt-cache policy loki alloy", "apt-get indextargets >/dev/null && echo apt reads its sources"),
        meanwhile=(
            "apt-get update 2>&1 | tee /dev/stderr | grep -v broken | { ! grep -E '^E: (Conflicting|The list)'; }",
            # The newer version of the other vendor's package is available, as before.
            "apt-cache policy loki | grep -A1 -F '1.1-1' | grep -q 500",
        ),
        uses=("REPOSITORY",),
    ),
    Situation(
        "a broken repository of a third party",
        "tarball",
        "broken-repository",
        same=("cat /etc/apt/sources.list.d/broken.list",),
        uses=("REPOSITORY",),
    ),
    Situation(
        "Debian's Prometheus and node exporter in use, Alertmanager switched off",
        "packaged",
        "packaged-prometheus",
        same=(
            "cat /etc/prometheus/*.yml /etc/default/prometheus*",
            "systemctl is-active prometheus prometheus-node-exporter prometheus-alertmanager || true",
            "systemctl is-enabled prometheus prometheus-node-exporter prometheus-alertmanager || true",
            "sha256sum /var/lib/prometheus/metrics2/keep/*",
            ASK + " 'http://127.0.0.1:9090/api/v1/label/job/values'",
            ASK + " 'http://127.0.0.1:9100/' | head -5",
        ),
        said=("prometheus.service", "prometheus-node-exporter.service"),
    ),
    Situation(
        "Grafana's repository by hand, as deb822",
        "packaged",
        "grafana-deb822",
        uses=("REPOSITORY",),
        same=("apt-cache policy loki alloy", "apt-get update -q >/dev/null && echo apt works"),
        meanwhile=("apt-get update -q", "apt-cache policy loki | grep -A1 -F '1.1-1' | grep -q 500"),
    ),
    Situation(
        "a proxy that reaches nothing on loopback",
        "removed",
        "proxy",
        same=("cat /etc/environment",),
    ),
    Situation(
        "removed packages whose configuration stayed (rc)",
        "removed",
        "removed-packages",
        same=(
            "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' prometheus prometheus-alertmanager",
            "cat /etc/prometheus/prometheus.yml /etc/prometheus/alertmanager.yml",
            "sha256sum /var/lib/prometheus/metrics2/keep/*",
            "find /var/lib/prometheus -maxdepth 2 -printf '%p %u:%g %m\\n' | grep -v hypertool | sort",
        ),
    ),
    Situation(
        "Cockpit on 9090, by a socket unit",
        "removed",
        "cockpit",
        same=("systemctl is-active cockpit.socket", "systemctl is-enabled cockpit.socket"),
        meanwhile=("systemctl is-active cockpit.socket", "ss -Hltn | grep -q '127[.]0[.]0[.]1:9095 '"),
    ),
    Situation("umask 077 for every login", "removed", "umask", same=("cat /etc/pam.d/sshd",)),
    Situation(
        "an account that becomes root by su, without sbin in its path",
        "removed",
        "su-account",
        same=("getent passwd ops root",),
    ),
)
