#!/usr/bin/python
# Activates a configuration directory for Alloy: stages, validates, swaps, reloads, verifies, and rolls back on failure.
from __future__ import annotations

import glob
import os
import shutil

from ansible.module_utils.hypertool.alloy import (
    PASSWORD_VARIABLE,
    Alloy,
    restart_refusal,
    scrapes_without_password,
)
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.generations import (
    ENVIRONMENT,
    Generations,
    environment_text,
    environment_variables,
)
from ansible.module_utils.hypertool.host import journal_tail, unit_properties, wait_for_unit
from ansible.module_utils.hypertool.unit_start import changed_since_start, note_start

DOCUMENTATION = r"""
module: alloy_configuration
short_description: Stage, validate, swap, reload and verify a generation of Alloy's configuration
description:
  - Writes the whole directory as a new generation, lets C(alloy validate) check it with the environment it will run
    with, points O(path)/current at it, and lets the running Alloy reload. What it answers is the verdict, then the
    health of its components. When one of them says no, the generation before is active again and the module fails with
    Alloy's own words. Nothing is restarted unless the environment, the unit or the program changed.
options:
  path:
    description: Holds C(generations/) and the link C(current).
    type: path
    default: /etc/alloy/hypertool
  files:
    description: Content by file name. Not needed for a rollback.
    type: dict
    default: {}
  environment:
    description: What the files read by C(sys.env). No secrets.
    type: dict
    default: {}
  user_folder:
    description: The administrators' own C(*.alloy) files; they are copied in as C(user_NAME).
    type: path
    default: /etc/alloy/conf.d
  group:
    description: The group that may read the configuration.
    type: str
    default: alloy
  validate:
    description: The command that checks a directory, which is put at its end.
    type: list
    elements: str
    required: true
  url:
    description: Address of Alloy's HTTP server.
    type: str
    default: http://127.0.0.1:12345
  unit:
    description: Its unit.
    type: str
    default: alloy.service
  drop_in:
    description: The unit's drop-in. A change of it needs a restart; one that does not start is put back.
    type: path
    default: /etc/systemd/system/alloy.service.d/10-hypertool.conf
  program:
    description: The program. A change of it needs a restart.
    type: path
    default: /usr/bin/alloy
  kept:
    description: How many generations stay for a rollback.
    type: int
    default: 5
  rollback:
    description: Go back to the generation before the active one, instead of making one.
    type: bool
    default: false
  timeout:
    description: Seconds to become ready, and for every component to become healthy.
    type: int
    default: 30
extends_documentation_fragment: [backlog]
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Configure Alloy
  alloy_configuration:
    files: {metrics.alloy: "..."}
    environment: {HYPERTOOL_ALLOY_INSTANCE: web-1}
    validate: [/usr/bin/alloy, validate]
"""

RETURN = r"""
generation:
  description: The number of the active one (in check mode - as it is).
  returned: always
  type: int
action:
  description: What was (in check mode - would be) done to the unit, C(start), C(restart), C(reload) or C(none).
  returned: always
  type: str
"""

SPEC = {
    "path": {"type": "path", "default": "/etc/alloy/hypertool"},
    "files": {"type": "dict", "default": {}},
    "environment": {"type": "dict", "default": {}},
    "user_folder": {"type": "path", "default": "/etc/alloy/conf.d"},
    "group": {"type": "str", "default": "alloy"},
    "validate": {"type": "list", "elements": "str", "required": True},
    "url": {"type": "str", "default": "http://127.0.0.1:12345"},
    "unit": {"type": "str", "default": "alloy.service"},
    "drop_in": {"type": "path", "default": "/etc/systemd/system/alloy.service.d/10-hypertool.conf"},
    "program": {"type": "path", "default": "/usr/bin/alloy"},
    "kept": {"type": "int", "default": 5},
    "rollback": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 30},
    "guard_seconds": {"type": "int", "default": 120},
    "restart_with_backlog": {"type": "bool", "default": False},
}
PREFIX = "user_"


class Configuration:
    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.unit = self.params["unit"]
        self.alloy = Alloy(self.params["url"])
        self.generations = Generations(module, self.params["path"], self.params["group"])
        self.known_unhealthy = set()

    def wanted(self):
        content = dict(self.params["files"])
        for path in sorted(glob.glob(os.path.join(self.params["user_folder"], "*.alloy"))):
            with open(path, encoding="utf-8", errors="replace") as handle:
                content[PREFIX + os.path.basename(path)] = handle.read()
        content[ENVIRONMENT] = environment_text(self.params["environment"])
        return content

    def difference(self, before, after):
        """The changed files. For users' own files, only the name is shown."""
        entries = []
        for name in sorted(set(before) | set(after)):
            if before.get(name) != after.get(name):
                both = {"before": before.get(name, ""), "after": after.get(name, "")}
                if name.startswith(PREFIX):
                    both = {key: "(content not shown)\n" if text else "" for key, text in both.items()}
                entries.append({"before_header": name, "after_header": name, **both})
        return entries

    def warn_of_refused_scrapes(self, content):
        """Warn of users' own files that scrape an exporter inside Alloy without the password that it asks for."""
        for name in scrapes_without_password({one: text for one, text in content.items() if one.startswith(PREFIX)}):
            path = os.path.join(self.params["user_folder"], name[len(PREFIX) :])
            self.module.warn(
                f"{path} scrapes an exporter inside Alloy, which asks for a password: add the block basic_auth of "
                f"alloy/README.md, which names {PASSWORD_VARIABLE}"
            )

    def validate(self, folder, content):
        """None if Alloy accepts the configuration, as far as it can tell without running it; else its diagnostics."""
        if not os.path.exists(self.params["validate"][0]):
            if self.module.check_mode:
                self.module.warn("Alloy is not installed yet: its configuration was not validated in this check")
                return None
            return f"{self.params['validate'][0]} is not on this host"
        rc, out, err = self.module.run_command(
            [*self.params["validate"], folder], environ_update=environment_variables(content[ENVIRONMENT])
        )
        return None if rc == 0 else (out + err).replace(folder, self.generations.link).strip()

    def running_environment(self):
        """The HYPERTOOL_* variables in the environment of the unit's main process."""
        pid = unit_properties(self.module, self.unit, "MainPID").get("MainPID", "0")
        try:
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as handle:
                pairs = [entry.split("=", 1) for entry in handle.read().split("\0") if "=" in entry]
        except OSError:
            return {}
        return {name: value for name, value in pairs if name.startswith("HYPERTOOL_")}

    def action(self, content, differs):
        """The action that makes the unit run this content, and the reason."""
        if unit_properties(self.module, self.unit, "ActiveState").get("ActiveState") != "active":
            return "start", "it does not run"
        if self.running_environment() != environment_variables(content[ENVIRONMENT]):
            return "restart", "its environment changes"
        if changed_since_start(self.module, self.unit, [self.params["drop_in"], self.params["program"]]):
            return "restart", "its unit or program changed"
        return ("reload", "its files change") if differs else ("none", "")

    def carry_out(self, action):
        """None if the unit runs what `current` points to and every component is healthy, else the reason."""
        if action == "reload":
            return self.alloy.reload() or self.alloy.trouble(self.params["timeout"], self.known_unhealthy)
        for command in (["daemon-reload"], ["reset-failed", self.unit], ["restart", self.unit]):
            rc, out, err = self.module.run_command(["systemctl", *command])
            if rc and command[0] == "restart":
                return f"systemctl restart {self.unit} failed: {(out + err).strip()}"
        waited = wait_for_unit(self.module, self.unit, self.alloy.not_ready, self.params["timeout"], restarts=2)
        return waited or self.alloy.trouble(self.params["timeout"], self.known_unhealthy)

    def go_back(self, number, refused, action, complaint):
        """Reactivate the previous generation and fail with Alloy's complaint about the refused one."""
        words = f"Alloy does not run with what is new: {complaint}"
        if action != "reload":
            words += f"\nIts last lines:\n{journal_tail(self.module, self.unit)}"
        if number is None:
            self.generations.point(None)
            self.module.run_command(["systemctl", "stop", self.unit])
            outcome = "There is none before it, so it was stopped."
        else:
            self.generations.point(number)
            outcome = f"Generation {number} is active again"
            if self.generations.restore_unit(number, self.params["drop_in"]):
                action, outcome = "restart", outcome + ", with the drop-in that it ran with"
            trouble = self.carry_out(action)
            outcome += f", but {trouble}" if trouble else "."
        if refused != number and not self.params["rollback"]:
            self.generations.drop(refused)
        self.generations.unmark()
        self.module.fail_json(msg=f"{words}\n{outcome}", generation=number)

    def activate(self, number, back_to, action, reason):
        if action == "restart":
            guard = {
                "unit": self.unit, "url": self.params["url"], "wait": self.params["guard_seconds"],
                "forced": self.params["restart_with_backlog"], "variable": "alloy_restart_with_backlog",
            }  # fmt: skip
            refusal = restart_refusal(self.module, reason, guard)
            if refusal:
                if number != back_to and not self.params["rollback"]:
                    self.generations.drop(number)
                self.module.fail_json(msg=refusal)
        self.known_unhealthy = self.alloy.unhealthy()
        self.generations.mark(back_to)
        self.generations.point(number)
        complaint = self.carry_out(action) if action != "none" else None
        if complaint:
            self.go_back(back_to, number, action, complaint)
        self.generations.keep_unit(number, self.params["drop_in"])
        note_start(self.module, self.unit, [self.params["drop_in"], self.params["program"]])
        self.generations.unmark()

    def enable(self):
        """Enable the unit at boot; True if it was not enabled. Called only once the configuration is known to run."""
        if unit_properties(self.module, self.unit, "UnitFileState").get("UnitFileState") == "enabled":
            return False
        if not self.module.check_mode:
            self.module.run_command(["systemctl", "enable", self.unit], check_rc=True)
        return True

    def configure(self):
        wanted, current = self.wanted(), self.generations.current()
        self.warn_of_refused_scrapes(wanted)
        before = self.generations.read(current)
        interrupted, back_to = self.generations.marked()
        differs = before != wanted
        result = {"changed": differs or interrupted, "generation": current or 0}
        result["diff"] = self.difference(before, wanted)
        result["changed"] |= self.generations.make_folders()
        action, reason = self.action(wanted, differs or interrupted)
        result["action"] = action
        result["changed"] |= action != "none"
        number = current
        if differs:
            stage = self.generations.stage(wanted)
            try:
                refused = self.validate(stage, wanted)
                if refused:
                    self.module.fail_json(
                        msg=f"Alloy refuses the new configuration; the running one was not touched.\n{refused}"
                    )
                if not self.module.check_mode:
                    number = self.generations.add(stage)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
        if not self.module.check_mode and (differs or action != "none"):
            self.activate(number, back_to if interrupted else current, action, reason)
            self.generations.prune(self.params["kept"])
            result["generation"] = number
        result["changed"] |= self.enable()
        return result

    def roll_back(self):
        current = self.generations.current()
        if current is None:
            self.module.fail_json(
                msg=f"there is no configuration of ours in {self.generations.folder}, nothing to go back from. Alloy "
                "comes with the play without --tags, where it is the collector; nothing was changed"
            )
        number = self.generations.before(current)
        if number is None:
            self.module.fail_json(
                msg=f"there is no generation before {current} in {self.generations.folder}; nothing was changed"
            )
        content = self.generations.read(number)
        action, reason = self.action(content, True)
        result = {"changed": True, "generation": number, "action": action}
        result["diff"] = self.difference(self.generations.read(current), content)
        if not self.module.check_mode:
            self.activate(number, current, action, reason)
            # Drop the abandoned generation; the next play creates it again if it is still wanted.
            self.generations.drop(current)
        return result


def main():
    module = settled_module(SPEC)
    try:
        configuration = Configuration(module)
    except HostError as error:
        module.fail_json(msg=str(error))
    result = configuration.roll_back() if module.params["rollback"] else configuration.configure()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
