#!/usr/bin/env python3
"""Write docs/config.md, docs/errors.md and docs/metrics.md from their .def tables; --check fails when one is stale.

Settings are printed by `llm-gateway check --docs`, which knows what each type accepts. The check needs no build: it compares
the page with config.def row by row, and with the binary too where one is newer than the table.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BINARY = ROOT / "build/llm-gateway"
CONFIG_SOURCES = [ROOT / "src/app" / name for name in ("config.def", "config_print.c", "config_types.c")]
KINDS = {"COUNTER": "counter", "GAUGE": "gauge", "HISTOGRAM": "histogram"}


def rows(path, macro):
    """The rows of a .def file, each a list of texts; strings lose their quotes, adjacent strings are one."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src" / path).read_text(), flags=re.S)
    found = []
    for row in re.findall(rf'^{macro}\(((?:[^"()]|"(?:[^"\\]|\\.)*")*)\)', text, flags=re.M):
        fields = re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+|[^",\s]+', row)
        found.append(["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', f)) if f.startswith('"') else f for f in fields])
    return found


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def errors_page():
    lines = [[f"`{name}`", status, "yes" if int(retryable) else "no", text]
             for name, status, retryable, text in rows("core/err.def", "ERR")]
    return ("# Errors inside\n\nMade from `src/core/err.def` by `tools/gen_docs.py`; do not edit.\n\n"
            "What functions of the gateway return to each other, and what logs name. What clients see, with its texts and\n"
            "shapes, is in [API.md](API.md#errors); the status below is the one such an error ends with when nothing\n"
            "nearer to the client decides otherwise.\n\n" + table(["name", "status", "may be tried again", "what"], lines))


def metrics_page():
    lines = []
    for _, kind, _, name, labels, text in rows("core/metrics.def", "METRIC"):
        full = name if name.startswith("process_") else "llm_gateway_" + name
        lines.append([f"`{full}`", KINDS[kind], ", ".join(f"`{x}`" for x in labels.split(",") if x), text])
    return ("# Metrics\n\nMade from `src/core/metrics.def` by `tools/gen_docs.py`; do not edit.\n\n"
            "`GET /metrics` in Prometheus' text format. A histogram has `_bucket`, `_sum` and `_count` series.\n"
            "`METRICS_MAX_TENANTS` bounds the tenants with a label of their own; later ones share one.\n\n"
            + table(["name", "kind", "labels", "what"], lines))


def is_binary_fresh():
    return BINARY.exists() and all(BINARY.stat().st_mtime >= s.stat().st_mtime for s in CONFIG_SOURCES)


def config_page():
    return subprocess.run([BINARY, "check", "--docs"], check=True, capture_output=True, text=True).stdout


def config_is_current(page):
    """Every row of the table is on the page, in order, and no other."""
    code = lambda text: f"`{text}`" if text else ""
    want = [(code(name), code(path), code(initial), "yes" if reload == "RELOAD" else "restart", text.replace("\\\"", '"'))
            for name, _, initial, _, _, reload, path, text in rows("app/config.def", "CONF")]
    cells = [[c.strip() for c in line.strip("|\n").split(" | ")] for line in page.splitlines() if line.startswith("| `")]
    have = [(c[0].strip(), c[2], c[3], c[-2], c[-1].removesuffix(" |").strip()) for c in cells]
    return want == have


def main():
    is_check = "--check" in sys.argv[1:]
    pages = {"errors.md": errors_page(), "metrics.md": metrics_page()}
    if is_check:
        stale = [name for name, page in pages.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != page]
        config = (DOCS / "config.md").read_text()
        if not config_is_current(config) or (is_binary_fresh() and config_page() != config):
            stale.append("config.md")
        for name in stale:
            print(f"docs/{name} is stale: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    if not is_binary_fresh():
        print("build/llm-gateway is missing or older than the settings: run `make` first", file=sys.stderr)
        return 1
    pages["config.md"] = config_page()
    for name, page in pages.items():
        (DOCS / name).write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
