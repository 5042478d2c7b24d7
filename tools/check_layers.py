#!/usr/bin/env python3
"""Fail when a file under src/ includes a module of the same or a higher rank (see src/LAYERS)."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def main() -> int:
    rank = {}  # a folder that LAYERS does not name is an error too
    for line in (SRC / "LAYERS").read_text().splitlines():
        words = line.split("#")[0].split()
        rank.update({name: int(words[0]) for name in words[1:]})

    bad = []
    for path in sorted(SRC.rglob("*.[ch]")):
        here = path.relative_to(SRC).parts[0]
        for target in INCLUDE.findall(path.read_text()):
            there = target.split("/")[0]
            if not (SRC / target).is_file():
                bad.append(f"{path.relative_to(SRC)}: include {target!r} by its path from src/")
            elif here not in rank:
                bad.append(f"{path.relative_to(SRC)}: LAYERS does not name {here}")
            elif there != here and rank.get(there, 99) >= rank[here]:
                bad.append(f"{path.relative_to(SRC)}: {here} must not include {there}")
    print("\n".join(bad) or "layers: ok")
    return 1 if bad else 0


sys.exit(main())
