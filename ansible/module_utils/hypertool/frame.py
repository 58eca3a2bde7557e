# What our modules begin and end with.
from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.surroundings import settle


def shown(value):
    """The value; in its texts, what a terminal would obey is written out (`\\x1b`), but for ends of lines and tabs.

    Ansible prints a failed task's message as it is, and messages have names that any user of a host chooses: command
    lines, paths, lines of logs.
    """
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(
            one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode("ascii") for one in value
        )
    if isinstance(value, dict):
        return {shown(key): shown(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(inner) for inner in value]
    return value


class Module(AnsibleModule):
    """An AnsibleModule whose answers a terminal only shows."""

    def exit_json(self, **answer):
        """End with an answer."""
        super().exit_json(**shown(answer))

    def fail_json(self, msg, **answer):
        """End with a message of what is wrong."""
        super().fail_json(shown(msg), **shown(answer))

    def warn(self, warning, **more):
        """Add a warning to the answer."""
        super().warn(shown(warning), **more)


def settled_module(options):
    """The module with these options and check mode, after making the process independent of the login."""
    settle()
    return Module(argument_spec=options, supports_check_mode=True)


def answer_with(work, module):
    """End the module with the result of `work(module)`; a HostError fails it with its text."""
    try:
        result = work(module)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
