# Records, before packages are installed, what they would overwrite on the host.
from __future__ import annotations

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.inventory import Inventory


def note_states(packages, record, names):
    """Record dpkg's state of packages when they are first seen; packages that we added earlier were absent then."""
    for name, state in packages.states(names).items():
        record.states.setdefault(name, "" if name in record.packages else state)


def note_packages(packages, record, wanted, new, take_over, archive=None):
    """Record what exists at the paths of new packages. Raises HostError if that is a foreign program.

    `wanted` is what the package manager is asked for, `new` the packages that it would add, `archive` the file of the
    only new package if it does not come from a repository.
    """
    added = [name for name in new if name not in record.packages]
    note_states(packages, record, added)
    inventory, foreign = Inventory(record), []
    archives = {added[0]: archive} if archive and added else packages.fetched(wanted, added) if added else {}
    for file in archives.values():
        paths, configuration = packages.contents_of(file)
        inventory.look_at_files([path for path in paths if path in configuration])
        unpackaged = [path for path in inventory.present(paths) if not packages.is_packaged(path)]
        foreign += inventory.look_at_files(path for path in unpackaged if path not in configuration)
    if foreign and not take_over:
        raise HostError(
            f"{', '.join(sorted(foreign))}: no package owns it, and {', '.join(added)} would overwrite it. Move it "
            "away, or set hypertool_take_over=true: then it is kept, and put back when we are uninstalled."
        )
