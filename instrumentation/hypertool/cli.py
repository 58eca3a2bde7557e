"""The command line: `hypertool` and `tta-persona`."""


def main() -> int:
    raise SystemExit("not built yet")


main_persona = main
