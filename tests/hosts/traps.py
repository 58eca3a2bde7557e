"""What a member of the group leaves in the folders that it may write, and what it would like to have changed by it."""

from __future__ import annotations

import shlex

from testinfra.host import Host

STORE = "/var/lib/hypertool"
WRITABLE = (f"{STORE}/live", f"{STORE}/requests")
CANARY = "/var/tmp/canary"
#: Under names that plays and services know. The kernel may refuse the hard link (fs.protected_hardlinks).
TRICKS = r"""
cd {folder} || exit 1
ln -sfn {canary} link-to-folder.json
ln -sfn {canary}/gold $(id -u)-9999999-1.json
ln -sfn /etc/shadow archive.json
ln -sfn /etc/cron.d shared
ln /usr/bin/passwd hard.json
mkfifo fifo.json
mkdir -p folder.json
touch -- '-rf' $'new\nline.json' 'a b$(touch {canary}-pwned).json'
truncate -s 100M huge.json
cp /usr/bin/id setuid.json && chmod 4755 setuid.json
python3 - <<'PY'
import os
os.makedirs("deep", exist_ok=True)
os.chdir("deep")
for _ in range(1500):
    os.makedirs("d", exist_ok=True)
    os.chdir("d")
PY
"""


def as_member(host: Host, user: str, code: str) -> str:
    """What the code prints when the member runs it; single commands in it may fail."""
    return str(host.run(f"runuser -u {user} -- bash -c {shlex.quote(code)}").stdout)


def set_traps(host: Host, user: str) -> str:
    """Every trick in every folder that the member may write; what `canary` says then."""
    host.check_output(f"mkdir -p {CANARY} && chmod 755 {CANARY} && echo gold > {CANARY}/gold")
    for folder in WRITABLE:
        as_member(host, user, TRICKS.replace("{folder}", folder).replace("{canary}", CANARY))
        assert host.file(f"{folder}/link-to-folder.json").is_symlink, f"{user} may not write into {folder}"
    return canary(host)


def canary(host: Host) -> str:
    """Owner, group, mode, size and the content of what a member would like to have changed."""
    what = f"{CANARY} /etc/cron.d /etc/shadow /etc/passwd /etc/sudoers.d /usr/bin/passwd"
    listing = f"find {what} -printf '%p %u %g %m\\n' 2>/dev/null | sort"
    shown = host.check_output(f"{listing}; cat {CANARY}/gold; ls {CANARY}-pwned 2>/dev/null || true")
    return str(shown)
