# The package manager of this host, and the common end of the package modules.
from __future__ import annotations

import traceback

from ansible.module_utils.hypertool.apt import Apt
from ansible.module_utils.hypertool.dnf import Dnf
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.record import Record


def package_manager(module):
    if module.get_bin_path("apt-get"):
        return Apt(module)
    if module.get_bin_path("dnf"):
        return Dnf(module)
    raise HostError(
        "neither apt-get nor dnf is on this host; supported are Debian, Ubuntu, the RHEL 9 family and Fedora"
    )


def bring_about(module, states):
    """Call the function of the wanted state with package manager and record, and end the module with its result."""
    try:
        result = states[module.params["state"]](module, package_manager(module), Record(module.params["record"]))
    except HostError as error:
        module.fail_json(msg=str(error), exception=traceback.format_exc())
    module.exit_json(**result)
