#!/usr/bin/env python3
"""What the Responses dialect writes, held against OpenAI's own description of the API and against its SDK.

check_responses.py PRINTER [OPENAPI] [SDK]   (run by hand; needs python3 with yaml and jsonschema, and node for the SDK)

PRINTER: build/.../print_responses; OPENAPI: openai-openapi.yaml of github.com/openai/openai-openapi;
SDK: an installed npm package `openai`, whose accumulator then reads every stream.
"""
import json, subprocess, sys, os

ACCUMULATE = """
const sdk = process.argv[1];
const {accumulateResponse} = require(sdk + '/lib/responses/ResponseAccumulator.js');
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(Boolean);
let snapshot, streams = 0, bad = 0, name;
for (const line of lines) {
  const [kind, recording, json] = [line.split('\\t', 1)[0], line.split('\\t')[1], line.split('\\t').slice(2).join('\\t')];
  if (kind === 'begin') { snapshot = undefined; streams++; name = recording; continue; }
  if (kind !== 'event') continue;
  try {
    const event = JSON.parse(json);
    const before = snapshot && JSON.stringify(snapshot.output);
    snapshot = accumulateResponse(event, snapshot);
    if (/completed|incomplete$/.test(event.type) && event.response && before !== undefined) {
      const strip = o => JSON.stringify(JSON.parse(o).map(i => ({...i, encrypted_content: undefined})), (k, v) => k === 'parsed' || k === 'parsed_arguments' ? undefined : v);
      const sort = v => Array.isArray(v) ? v.map(sort) : v && typeof v === 'object' ? Object.fromEntries(Object.keys(v).sort().map(k => [k, sort(v[k])])) : v;
      const a = JSON.stringify(sort(JSON.parse(strip(before)))), b = JSON.stringify(sort(JSON.parse(strip(JSON.stringify(event.response.output)))));
      if (a !== b) { bad++; console.log(name + ': accumulated\\n ' + a + '\\n is not\\n ' + b); }
    }
  } catch (e) { bad++; console.log(name + ': ' + e.message + ': ' + json.slice(0, 300)); }
}
console.log(`sdk: ${streams} streams, ${bad} wrong`);
process.exit(bad ? 1 : 0);
"""

def checks(path):
    import yaml, jsonschema
    doc = yaml.load(open(path), Loader=yaml.CSafeLoader)
    def fix(o):  # "nullable" and OpenAPI's own words
        if isinstance(o, dict):
            o = {k: fix(v) for k, v in o.items() if k not in ('discriminator', 'example', 'format')}
            if 'oneOf' in o: o['anyOf'] = o.pop('oneOf')
            if o.pop('nullable', False): o = {'anyOf': [o, {'type': 'null'}]}
        elif isinstance(o, list): o = [fix(v) for v in o]
        return o
    schemas = fix(doc['components']['schemas'])
    root = {'components': {'schemas': schemas}}
    made = {}
    def validator(name):
        if name not in made:
            made[name] = jsonschema.Draft202012Validator({**root, '$ref': '#/components/schemas/' + name})
        return made[name]
    by_type = {}
    for name, s in schemas.items():
        kind = (s.get('properties') or {}).get('type', {}) if isinstance(s, dict) else {}
        if name.startswith('Response') and name.endswith('Event') and kind.get('enum'):
            by_type[kind['enum'][0]] = name
    return validator, by_type

def forgive(value):
    """Where recordings of the API itself, or clients that it takes (Codex), leave its description."""
    usage = (value.get('response') or value).get('usage') or {}
    usage.get('input_tokens_details', {}).setdefault('cache_write_tokens', 0)
    for item in value.get('input') or []:  # thoughts go back without the id under which nothing is stored
        if isinstance(item, dict) and item.get('type') == 'reasoning': item.setdefault('id', 'rs_0')
    if value.get('temperature') == -1: del value['temperature']  # a recording of what is refused

def main():
    lines = subprocess.run([sys.argv[1]], capture_output=True, check=True, text=True).stdout
    failed = 0
    if len(sys.argv) > 2:
        validator, by_type = checks(sys.argv[2])
        seen = {}
        for line in lines.splitlines():
            kind, recording, text = line.split('\t', 2)
            if kind == 'begin': continue
            value = json.loads(text)
            name = {'answer': 'Response', 'request': 'CreateResponse'}.get(kind) or by_type.get(value.get('type'))
            if not name:
                print(recording, 'unknown event', value.get('type')); failed += 1; continue
            seen[name] = seen.get(name, 0) + 1
            forgive(value)
            for holder in (value, value.get('response')):  # the API itself writes null here, against its description
                for member in ('usage', 'user'):
                    if isinstance(holder, dict) and holder.get(member, 0) is None: del holder[member]
            error = next(iter(validator(name).iter_errors(value)), None)
            if error:
                failed += 1
                while error.context:
                    error = max(error.context, key=lambda e: len(e.absolute_path))
                if failed <= 12:
                    print(f'{recording}: {name}: {list(error.absolute_path)}: {error.message[:300]}')
        print('schema:', sum(seen.values()), 'objects of', len(seen), 'kinds,', failed, 'wrong')
    if len(sys.argv) > 3:
        failed += subprocess.run(['node', '-e', ACCUMULATE, os.path.abspath(sys.argv[3])], input=lines, text=True).returncode
    sys.exit(1 if failed else 0)

main()
