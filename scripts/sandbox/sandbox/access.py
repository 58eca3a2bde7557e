"""Access to a host by SSH without a port or network: with our own key, and sshd over `docker exec`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from .engine import Engine
from .progress import SandboxError
from .state import cache_dir, locked

# Written only if it differs, so that publishing a port leaves a running host unchanged.
AUTHORIZE = """
umask 077
key=$(cat)
file=/root/.ssh/authorized_keys
mkdir -p /root/.ssh
[ -f "$file" ] && [ "$(cat "$file")" = "$key" ] || printf '%s\\n' "$key" > "$file"
"""


def private_key() -> Path:
    """The key that opens only sandbox hosts, created on first use."""
    key = cache_dir() / "ssh" / "id_ed25519"
    with locked(cache_dir() / "ssh" / "lock", "making the SSH key"):
        if not (key.exists() and key.with_suffix(".pub").exists()):
            if not shutil.which("ssh-keygen"):
                raise SandboxError("ssh-keygen is missing; install the package openssh-client")
            key.unlink(missing_ok=True)
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hypertool-sandbox", "-f", str(key)],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
    return key


def authorize(engine: Engine, container: str) -> None:
    public = private_key().with_suffix(".pub").read_text(encoding="utf-8")
    engine.run("exec", "--interactive", container, "sh", "-c", AUTHORIZE, stdin=public)


def ssh_options(engine: Engine, container: str) -> list[str]:
    """Options for ssh; the host key is not checked, because there is no network in between."""
    proxy = shlex.join([*engine.command, "exec", "-i", container, "/usr/sbin/sshd", "-i"])
    return [
        f"-oProxyCommand={proxy}",
        "-oStrictHostKeyChecking=no",
        "-oUserKnownHostsFile=/dev/null",
        "-oLogLevel=ERROR",
        "-oIdentitiesOnly=yes",
    ]


def inventory(engine: Engine, hosts: dict[str, str]) -> str:
    """An Ansible inventory (YAML; JSON is YAML) for the named hosts."""
    variables = {
        name: {
            "ansible_host": name,
            "ansible_connection": "ssh",
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(private_key()),
            "ansible_ssh_common_args": shlex.join(ssh_options(engine, container)),
            # Ansible identifies connections by host name, and two sets of hosts may use the same names.
            "ansible_control_path": f"%(directory)s/{container}",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        for name, container in hosts.items()
    }
    return json.dumps({"all": {"hosts": variables}}, indent=2) + "\n"


def print_ssh_command(engine: Engine, container: str) -> None:
    command = ["ssh", "-i", str(private_key()), *ssh_options(engine, container), "root@sandbox"]
    sys.stdout.write(shlex.join(command) + "\n")
