#!/usr/bin/env python3
"""Fail when docs/traps.md names a test that is not there, or a row of it names none."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT = re.compile(r"`(\w+)/(\w+)` `(\w+)`")
SENTENCE = re.compile(r"`(\w+)`")


def missing(cell: str) -> list[str]:
    """What a row's second cell names and nobody has."""
    bad = []
    for folder, file, name in UNIT.findall(cell):
        path = ROOT / f"tests/unit/{folder}/test_{file}.c"
        if not path.is_file() or f"cmocka_unit_test({name})" not in path.read_text():
            bad.append(f"tests/unit/{folder}/test_{file}.c has no test {name}")
    for name in SENTENCE.findall(UNIT.sub("", cell)):
        if not (ROOT / f"tests/behaviour/{name}.test.mjs").is_file():
            bad.append(f"tests/behaviour has no {name}")
    return bad if "`" in cell else ["a row names no test"]


def main() -> int:
    bad = []
    for number, line in enumerate((ROOT / "docs/traps.md").read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 2 and cells[0] not in ("trap", "bug") and set(cells[0]) != {"-"}:
            bad += [f"docs/traps.md:{number}: {what}" for what in missing(cells[1])]
    print("\n".join(bad) or "traps: ok")
    return 1 if bad else 0


sys.exit(main())
