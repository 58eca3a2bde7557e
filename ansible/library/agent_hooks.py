#!/usr/bin/python
# Installs hooks for coding agents as each user of a list, and removes those of its own that are no longer wanted.
from __future__ import annotations

import json
import os
import re

from ansible.module_utils.hypertool import as_user, paths
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import user_exists
from ansible.module_utils.hypertool.record import write_json

DOCUMENTATION = r"""
module: agent_hooks
short_description: Install hooks for coding agents as their users
description:
  - Runs C(hypertool agents install) as each user, with nothing of root's environment, so that root neither reads nor
    writes in a home and follows no link there.
  - Records which hooks it installed. Those that are no longer wanted, of users who left the list too, are removed.
    Hooks that a user installed stay.
  - A file that cannot be edited (not JSON, read-only) is left alone with a warning, and so is a user who is gone.
options:
  users:
    description: Existing users.
    type: list
    elements: str
    default: []
  agents:
    description: Names of agents, or C(all) for each agent that the user has.
    type: list
    elements: str
    default: []
  program:
    description: The command line. Without it, as in the first check mode, only what would be done is said.
    type: path
    default: /usr/local/bin/hypertool
  record:
    description: Where the installed hooks are recorded. It is removed with the last of them.
    type: path
    default: /var/lib/hypertool-install/agent-hooks.json
  state:
    description: With C(absent), everything recorded is removed and forgotten.
    choices: [present, absent]
    default: present
    type: str
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Install the hooks of two agents
  agent_hooks:
    users: [ann]
    agents: [claude-code, codex]
"""

RETURN = r"""
done:
  description: What was (in check mode - would be) done, one text each.
  returned: always
  type: list
problems:
  description: What was left as it is, with the user, the agent and the reason.
  returned: always
  type: list
"""

ALL = "all"
AGENT = re.compile("[a-z][a-z-]{0,30}")


class Register:
    """The hooks that this module installed, as agents by user; written before the users' files."""

    def __init__(self, path):
        self.path = path
        paths.require_private(os.path.dirname(path))
        self.hooks = {}
        try:
            with open(path, encoding="utf-8") as handle:
                self.hooks = {str(user): set(map(str, agents)) for user, agents in json.load(handle).items()}
        except FileNotFoundError:
            pass
        except (ValueError, AttributeError, TypeError) as error:
            raise HostError(
                f"{path} is not readable as a record of installed hooks ({error}). Restore it from a backup, or delete "
                "it and let each user run `hypertool agents uninstall`."
            ) from error

    def save(self):
        hooks = {user: sorted(agents) for user, agents in self.hooks.items() if agents}
        if hooks:
            write_json(self.path, hooks)
        elif os.path.exists(self.path):
            os.unlink(self.path)


class Answer:
    """What `hypertool agents` said as a user, whatever its shape: agents whose files change, and problems by agent."""

    def __init__(self, document):
        self.changing = sorted(agent for agent, entry in entries(document, "results") if entry.get("changed") is True)
        self.problems = {
            agent: as_user.printable(entry.get("problem", "unknown")) for agent, entry in entries(document, "problems")
        }


def entries(document, name):
    """The entries of a list in an answer, each with the agent that it is about."""
    found = document.get(name)
    for entry in found if isinstance(found, list) else ():
        agent = entry.get("agent") if isinstance(entry, dict) else None
        if isinstance(agent, str) and AGENT.fullmatch(agent):
            yield agent, entry


class Hooks:
    def __init__(self, module):
        self.check = module.check_mode
        self.params = module.params
        self.program = module.params["program"]
        self.register = Register(module.params["record"])
        self.done, self.problems = [], []

    def bring_about(self):
        present = self.params["state"] == "present"
        agents = self.params["agents"] if present else []
        users = self.params["users"] if agents else []
        for user in sorted({*users, *self.register.hooks}):
            try:
                self.of_user(user, agents if user in users else [])
            except HostError as error:
                self.problems.append(f"{user}: {error}")
        if not present:
            self.forget(set(self.register.hooks))

    def of_user(self, user, wanted):
        ours = self.register.hooks.get(user, set())
        if not user_exists(user):
            self.done.append(f"{user}: this user is gone, and with it the hooks for {', '.join(sorted(ours))}")
            self.forget({user})
        elif not os.path.exists(self.program):
            self.without_program(user, wanted or sorted(ours), "install" if wanted else "uninstall")
        else:
            unwanted = set() if ALL in wanted else ours - set(wanted)
            if unwanted:
                self.change(user, "uninstall", sorted(unwanted))
            if wanted:
                self.change(user, "install", [] if ALL in wanted else sorted(set(wanted)))

    def without_program(self, user, agents, action):
        if self.check:
            self.done.append(f"{user}: {action}ed {', '.join(agents)}")
        else:
            self.problems.append(
                f"{user}: {self.program} is missing, so nothing was {action}ed for {', '.join(agents)}"
            )

    def change(self, user, action, agents):
        """Ask first what would change and record it; only then let it change."""
        asked = self.ask(user, action, agents, "--check")
        changed, problems = asked.changing, asked.problems
        if changed and not self.check:
            if action == "install":
                self.register.hooks.setdefault(user, set()).update(changed)
                self.register.save()
            answer = self.ask(user, action, changed)
            changed, problems = answer.changing, {**problems, **answer.problems}
        if action == "uninstall":
            self.forget_agents(user, set(agents) - set(problems))
        self.done += [f"{user}: {action}ed {agent}" for agent in changed]
        self.problems += [f"{user}: {agent}: {problem}" for agent, problem in sorted(problems.items())]

    def ask(self, user, action, agents, *more):
        return Answer(as_user.answer(user, [self.program, "agents", action, *agents, "--json", *more]))

    def forget_agents(self, user, agents):
        if not self.check:
            self.register.hooks[user] = self.register.hooks.get(user, set()) - agents
            self.register.save()

    def forget(self, users):
        if not self.check and users:
            self.register.hooks = {user: hooks for user, hooks in self.register.hooks.items() if user not in users}
            self.register.save()


def main():
    module = settled_module(
        {
            "users": {"type": "list", "elements": "str", "default": []},
            "agents": {"type": "list", "elements": "str", "default": []},
            "program": {"type": "path", "default": "/usr/local/bin/hypertool"},
            "record": {"type": "path", "default": "/var/lib/hypertool-install/agent-hooks.json"},
            "state": {"choices": ["present", "absent"], "default": "present", "type": "str"},
        }
    )
    try:
        hooks = Hooks(module)
        hooks.bring_about()
    except HostError as error:
        module.fail_json(msg=str(error))
    for problem in hooks.problems:
        module.warn(f"Left as it is: {problem}")
    result = {"changed": bool(hooks.done), "done": hooks.done, "problems": hooks.problems}
    if hooks.done:
        result["diff"] = {"before": "", "after": "".join(f"{text}\n" for text in hooks.done)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
