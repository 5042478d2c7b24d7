#!/usr/bin/env node
// compatibility.mjs [BUILD_DIR]: runs the matrix of client and provider dialects and writes docs/COMPATIBILITY.md from its
// results. A test of the matrix is named "CLIENT to PROVIDER: FEATURE", with ", streamed" for a form of the same feature.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const build = path.resolve(root, process.argv[2] ?? "build/release");
process.env.LLM_GATEWAY_BIN ??= path.join(build, "src/app/llm-gateway");
process.env.PROVIDER_SIM_BIN ??= path.join(build, "sim/provider-sim");

const file = path.join(root, "tests/behaviour/every_client_dialect_reaches_every_provider_dialect.test.mjs");
const features = new Map(); // name -> pair -> form -> passed
const pairs = new Set();

function note(event, passed) {
    const found = event.name.match(/^(\S+) to (\S+): (.*?)(, streamed)?$/);
    if (!found) return;
    const [, client, provider, feature, streamed] = found;
    const pair = `${client} → ${provider}`;
    pairs.add(pair);
    if (!features.has(feature)) features.set(feature, new Map());
    const forms = features.get(feature).get(pair) ?? {};
    forms[streamed ? "streamed" : "whole"] = passed;
    features.get(feature).set(pair, forms);
}

const failed = [];
await new Promise((resolve) => {
    run({ files: [file] })
        .on("test:pass", (event) => note(event, !event.skip))
        .on("test:fail", (event) => (failed.push(event.name), note(event, false)))
        .on("end", resolve)
        .resume();
});
if (pairs.size === 0) throw new Error(`${file} told nothing`);

const cell = (forms) => {
    if (!forms) return "–";
    const bad = Object.keys(forms).filter((form) => !forms[form]);
    if (bad.length === 0) return "yes";
    return bad.length === Object.keys(forms).length ? "**no**" : `**not ${bad.join(", ")}**`;
};
/** One provider's table: a column for each client, the rows that any of them has. */
function table(provider) {
    const columns = [...pairs].filter((pair) => pair.endsWith(` → ${provider}`)).sort();
    const told = [...features].filter(([, of]) => columns.some((pair) => of.has(pair)));
    const rows = told.map(([feature, of]) => `| ${feature} | ${columns.map((pair) => cell(of.get(pair))).join(" | ")} |`);
    return `## ${provider}\n\n| feature | ${columns.join(" | ")} |\n|---|${columns.map(() => "---").join("|")}|\n${rows.join("\n")}\n`;
}
const providers = [...new Set([...pairs].map((pair) => pair.split(" → ")[1]))].sort();
writeFileSync(
    path.join(root, "docs/COMPATIBILITY.md"),
    `# Compatibility

Written by \`tools/compatibility.mjs\` from a run of
\`tests/behaviour/every_client_dialect_reaches_every_provider_dialect.test.mjs\`; do not edit. A column is the dialect that the
client speaks (the official package; the gateway's own by HTTP) → the dialect of the provider that answers; there is a
table for each of the latter. "yes": the test passes, both whole and streamed where the feature has both forms. "–": the client's dialect has no words for it.

${providers.map(table).join("\n")}`,
);
console.log(`${features.size} features, ${pairs.size} pairs, ${failed.length} failures`);
process.exitCode = failed.length > 0 ? 1 : 0;
