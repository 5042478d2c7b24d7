#!/usr/bin/env python3
"""Writes files as C arrays: embed.py OUT.c NAME FILE [NAME FILE ...]; each gives NAME[] and NAME_len."""
import pathlib
import sys


def main() -> int:
    out, pairs = sys.argv[1], sys.argv[2:]
    lines = ["/* Made by tools/embed.py; a pure table. */", "#include <stddef.h>"]
    for name, path in zip(pairs[::2], pairs[1::2]):
        data = pathlib.Path(path).read_bytes()
        lines += [f"extern const char {name}[];", f"extern const size_t {name}_len;", f"const char {name}[] = {{"]
        signed = [b - 256 if b > 127 else b for b in data]
        lines += ["    " + ",".join(map(str, signed[i:i + 24])) + "," for i in range(0, len(signed), 24)]
        lines += ["    0};", f"const size_t {name}_len = {len(data)};"]
    pathlib.Path(out).write_text("\n".join(lines) + "\n")
    return 0


sys.exit(main())
