#!/usr/bin/env python3
"""Fails when a source file outgrows the project's bounds: .c 800 lines, .h 200. Tables say so in their first line."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMITS = {".c": 800, ".h": 200}


def main() -> int:
    bad = []
    for folder in ("src", "sim", "bench", "tests/unit"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            lines = path.read_text().splitlines()
            limit = LIMITS[path.suffix] * (2 if folder == "tests/unit" else 1)
            if len(lines) > limit and "table" not in lines[0]:
                bad.append(f"{path.relative_to(ROOT)}: {len(lines)} lines, at most {limit}")
    print("\n".join(bad) or "sizes: ok")
    return 1 if bad else 0


sys.exit(main())
