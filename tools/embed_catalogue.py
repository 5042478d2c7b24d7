#!/usr/bin/env python3
"""Turn catalogue/catalogue.tsv into the C tables that src/route/catalogue.c searches.

    tools/embed_catalogue.py catalogue/catalogue.tsv build/.../catalogue_data.c

Names lie in one blob, rates are stored once each, and rows hold offsets, so that the tables need
no relocation: they stay shared, clean pages of the binary.
"""
import pathlib
import sys

MODES = ("chat", "completion", "responses", "embedding", "moderation")  # enum route_mode
FLAGS = {"reasoning": 1, "tools": 2, "vision": 4, "schema": 8}  # enum catalogue_flag
TIERS_MAX = 3  # PRICE_TIERS_MAX
COLUMNS = 15


def number(text):
    return -1 if text == "-" else int(text)


def limit(text):
    return min(number(text), 2 ** 31 - 1)


class Tables:
    def __init__(self):
        self.blob = bytearray()
        self.rates = {(-1,) * 6: 0}
        self.tiers, self.providers, self.rows = [], [], []
        self.last = None

    def rate(self, values):
        return self.rates.setdefault(tuple(map(number, values)), len(self.rates))

    def name(self, text):
        at = len(self.blob)
        self.blob += text
        return at, len(text)

    def take(self, line):
        cells = line.split("\t")
        if len(cells) != COLUMNS:
            raise ValueError(f"{len(cells)} columns, {COLUMNS} expected")
        key = (cells[0].encode(), cells[1].encode())
        if self.last is not None and key <= self.last:
            raise ValueError("rows are not sorted, or a name stands twice")
        if self.last is None or self.last[0] != key[0]:
            self.providers.append((*self.name(key[0]), len(self.rows)))
        self.last = key
        first = len(self.tiers)
        for part in cells[12].split(";") if cells[12] != "-" else []:
            above, values = part.split(":")
            self.tiers.append((int(above), self.rate(values.split(","))))
        if len(self.tiers) - first > TIERS_MAX:
            raise ValueError(f"more than {TIERS_MAX} tiers")
        flags = sum(FLAGS[f] for f in cells[13].split(",") if f != "-")
        at, length = self.name(key[1])
        self.rows.append((int(cells[9]), at, self.rate(cells[3:9]), limit(cells[10]), limit(cells[11]), first,
                          length, len(self.tiers) - first, MODES.index(cells[2]), flags))

    def c_text(self, source, as_of):
        def table(declaration, lines):
            return [declaration + " = {"] + [f"    {line}," for line in lines] + ["};", ""]

        escaped = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in self.blob)
        # A name of many bytes is an array initialiser made of short string pieces.
        pieces = [escaped[i:i + 96] for i in range(0, len(escaped), 96)] if "\\" not in escaped else [escaped]
        out = [f"/* Pure table, generated from {source.name} by tools/embed_catalogue.py. */",
               '#include "route/catalogue_data.h"', "",
               f'const char catalogue_as_of[] = "{as_of}";', "",
               f"const char catalogue_names[{len(self.blob) + 1}] ="]
        out += [f'    "{piece}"' for piece in pieces]
        out[-1] += ";"
        out.append("")
        out += table(f"const struct price_rates catalogue_rates[{len(self.rates)}]",
                     ["{" + ", ".join(f"INT64_C({v})" for v in r) + "}" for r in self.rates])
        out += table(f"const struct catalogue_tier catalogue_tiers[{len(self.tiers) or 1}]",
                     [f"{{INT64_C({above}), {rate}}}" for above, rate in self.tiers] or ["{0, 0}"])
        out += table(f"const struct catalogue_provider catalogue_providers[{len(self.providers) + 1}]",
                     [f"{{{at}, {length}, {row}}}" for at, length, row in self.providers]
                     + [f"{{0, 0, {len(self.rows)}}}"])
        out += [f"const size_t catalogue_provider_count = {len(self.providers)};", ""]
        out += table(f"const struct catalogue_row catalogue_rows[{len(self.rows)}]",
                     ["{" + ", ".join(map(str, row)) + "}" for row in self.rows])
        return "\n".join(out).rstrip() + "\n"


def main():
    source, target = map(pathlib.Path, sys.argv[1:3])
    tables, as_of = Tables(), None
    for at, line in enumerate(source.read_text().splitlines(), 1):
        if line.startswith("# as-of "):
            as_of = line.split()[2]
        if line.startswith("#"):
            continue
        try:
            tables.take(line)
        except (ValueError, KeyError) as why:
            sys.exit(f"{source}:{at}: {why}")
    if as_of is None or not tables.rows:
        sys.exit(f"{source}: no as-of line or no rows")
    target.write_text(tables.c_text(source, as_of))
    return 0


if __name__ == "__main__":
    sys.exit(main())
