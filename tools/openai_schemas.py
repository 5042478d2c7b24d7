#!/usr/bin/env python3
"""openai_schemas.py OPENAPI: writes tests/schemas/openai.json, what OpenAI's description says of the answers that the
gateway makes. OPENAPI: openai-openapi.yaml of github.com/openai/openai-openapi (needs python3 with yaml)."""
import json
import pathlib
import sys

import yaml

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/schemas/openai.json"
ROOTS = ["CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", "Response", "ResponseStreamEvent"]
# What a validator has no use for; "type" is also the name of properties, so properties are never filtered.
SILENT = {"description", "title", "example", "examples", "discriminator", "format", "default", "deprecated",
          "x-stainless-const", "x-oaiMeta", "x-oaiTypeLabel", "x-oaiExpandable", "x-stainless-any", "x-stainless-skip"}


def plain(schema):
    """JSON Schema for OpenAPI's words: nullable, and oneOf, whose alternatives overlap here, as anyOf."""
    if isinstance(schema, list):
        return [plain(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            out[name] = {k: plain(v) for k, v in value.items()}
        elif name in ("enum", "const", "required", "$ref", "pattern"):
            out[name] = value.replace("#/components/schemas/", "#/$defs/") if name == "$ref" else value
        elif name in SILENT or name.startswith("x-") or name in ("nullable", "$recursiveAnchor"):
            continue
        else:
            out["anyOf" if name == "oneOf" else name] = plain(value)
    if "$recursiveRef" in out:
        return {}
    return {"anyOf": [out, {"type": "null"}]} if schema.get("nullable") is True else out


def named(schema):
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$ref":
                yield value.split("/")[-1]
            else:
                yield from named(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from named(value)


def main() -> None:
    schemas = yaml.load(open(sys.argv[1]), Loader=yaml.CSafeLoader)["components"]["schemas"]
    found, waiting = {}, list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = plain(schemas[name])
            waiting += named(found[name])
    lines = [f"{json.dumps(name)}: {json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found)]
    OUT.write_text('{"$defs": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(found)} schemas")


main()
