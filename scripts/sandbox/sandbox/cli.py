"""Throwaway hosts with a real systemd, to try the stack out and to test it: `python3 scripts/sandbox`."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys

from . import access, host, image, packages, ports
from . import engine as engines
from .progress import SandboxError, say
from .state import delete_tree, load, state_dir


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start a host")
    up.add_argument("name")
    up.add_argument("--release", choices=sorted(image.DOWNLOADED), help=f"default: {image.DEFAULT_RELEASE}")
    up.add_argument(
        "--publish",
        action="append",
        nargs="+",
        metavar="[HERE:]PORT",
        help="forward 127.0.0.1:HERE of this machine to the host's own 127.0.0.1:PORT",
    )

    down = commands.add_parser("down", help="remove hosts, and our engine when it has nothing left to run")
    down.add_argument("name", nargs="*")
    down.add_argument("--all", action="store_true", help="every host")
    down.add_argument("--purge-cache", action="store_true", help="with --all: base images and keys too")

    execute = commands.add_parser("exec", help="run a command in a host: exec NAME -- COMMAND")
    execute.add_argument("name")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")

    for name, text in (("restart", "reboot a host"), ("ssh", "print the command that logs in to a host")):
        commands.add_parser(name, help=text).add_argument("name")
    inventory = commands.add_parser("inventory", help="print an Ansible inventory of running hosts")
    inventory.add_argument("name", nargs="+")
    commands.add_parser("list", help="print the names of the hosts")
    commands.add_parser("packages", help="print the packages that were installed on this machine for the hosts")
    engine = commands.add_parser("engine", help="start or stop the Docker Engine by itself")
    engine.add_argument("action", choices=("up", "down", "command"))
    images = commands.add_parser("image", help="build (or find in the cache) the base image of releases")
    images.add_argument("release", nargs="+", choices=sorted(image.DOWNLOADED))
    return parser


def _down(options: argparse.Namespace) -> None:
    if bool(options.name) == options.all:
        raise SandboxError("name the hosts to remove, or use --all")
    if options.purge_cache and not options.all:
        raise SandboxError("--purge-cache needs --all")
    # After a crash of our engine or a reboot, only our engine can remove its containers.
    crashed = engines.find() is None and bool(load(state_dir() / "engine.json"))
    engine = engines.ensure() if crashed else engines.find()
    if engine:
        for name in host.names(engine) if options.all else options.name:
            host.down(engine, name)
    else:
        say("No engine runs, so there is no host")
    if options.purge_cache:
        image.purge(engine)
    if engine and engine.own and not host.names(engine):
        engines.down()
    if options.all:
        delete_tree(state_dir() / "hosts")
    if options.purge_cache:
        delete_tree(state_dir())


def _engine(action: str) -> None:
    if action == "down":
        engines.down()
        return
    engine = engines.ensure()
    if action == "up":
        say(engines.describe(engine))
    else:
        print(" ".join(engine.command))


def run(options: argparse.Namespace) -> int:
    """Run one command; returns the exit code."""
    if options.command == "engine":
        _engine(options.action)
    elif options.command == "down":
        _down(options)
    elif options.command == "up":
        host.container_of(options.name)
        publish = None if options.publish is None else ports.parse([*itertools.chain(*options.publish)])
        host.up(engines.ensure(), options.name, options.release, publish)
    elif options.command == "image":
        engine = engines.ensure()
        for release in options.release:
            print(image.ensure(engine, release))
    else:
        return _use(options)
    return 0


def _use(options: argparse.Namespace) -> int:
    if options.command == "packages":
        print("".join(f"{name}\n" for name in packages.installed_for_us()), end="")
        return 0
    engine = engines.find()
    if options.command == "list":
        print("".join(f"{name}\n" for name in (host.names(engine) if engine else [])), end="")
        return 0
    if engine is None:
        raise SandboxError("no engine runs, so there is no host; start one: python3 scripts/sandbox up NAME")
    if options.command == "exec":
        command = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
        if not command:
            raise SandboxError("no command given; expected: exec NAME -- COMMAND")
        return host.execute(engine, options.name, command)
    if options.command == "restart":
        host.restart(engine, options.name)
    elif options.command == "ssh":
        access.print_ssh_command(engine, host.require(engine, options.name))
    else:
        print(host.inventory(engine, options.name), end="")
    return 0


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return run(_parser().parse_args())
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted; run the same command again to continue", file=sys.stderr)
        return 130
