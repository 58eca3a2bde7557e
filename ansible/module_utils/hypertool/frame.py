# What our modules begin and end with.
from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.surroundings import settle


def settled_module(options):
    """The AnsibleModule with these options and check mode, after making the process independent of the login."""
    settle()
    return AnsibleModule(argument_spec=options, supports_check_mode=True)


def answer_with(work, module):
    """End the module with the result of `work(module)`; a HostError fails it with its text."""
    try:
        result = work(module)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
