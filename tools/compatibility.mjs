#!/usr/bin/env node
// compatibility.mjs [BUILD_DIR]: runs the matrices of clients and provider dialects and writes docs/COMPATIBILITY.md from
// their results. A test of a matrix is named "CLIENT to PROVIDER: FEATURE", with ", streamed" for a form of the same feature.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const build = path.resolve(root, process.argv[2] ?? "build/release");
process.env.LLM_GATEWAY_BIN ??= path.join(build, "src/app/llm-gateway");
process.env.PROVIDER_SIM_BIN ??= path.join(build, "sim/provider-sim");

const matrix = "every_client_dialect_reaches_every_provider_dialect";
const ai = "the_ai_package_reaches_every_provider_dialect";

/** One file's results: features: name -> pair -> form -> passed. */
class Results {
    features = new Map();
    pairs = new Set();
    failed = [];

    note(event, passed) {
        const found = event.name.match(/^(\S+) to (\S+): (.*?)(, streamed)?$/);
        if (!found) return;
        const [, client, provider, feature, streamed] = found;
        const pair = `${client} → ${provider}`;
        this.pairs.add(pair);
        if (!this.features.has(feature)) this.features.set(feature, new Map());
        const forms = this.features.get(feature).get(pair) ?? {};
        forms[streamed ? "streamed" : "whole"] = passed;
        this.features.get(feature).set(pair, forms);
    }

    /** One provider's table: a column for each client, the rows that any of them has. */
    table(provider) {
        const columns = [...this.pairs].filter((pair) => pair.endsWith(` → ${provider}`)).sort();
        const told = [...this.features].filter(([, of]) => columns.some((pair) => of.has(pair)));
        const rows = told.map(([feature, of]) => `| ${feature} | ${columns.map((pair) => cell(of.get(pair))).join(" | ")} |`);
        return `| feature | ${columns.join(" | ")} |\n|---|${columns.map(() => "---").join("|")}|\n${rows.join("\n")}\n`;
    }

    get providers() {
        return [...new Set([...this.pairs].map((pair) => pair.split(" → ")[1]))].sort();
    }
}

async function resultsOf(name) {
    const results = new Results();
    await new Promise((resolve) => {
        run({ files: [path.join(root, `tests/behaviour/${name}.test.mjs`)] })
            .on("test:pass", (event) => results.note(event, !event.skip))
            .on("test:fail", (event) => (results.failed.push(event.name), results.note(event, false)))
            .on("end", resolve)
            .resume();
    });
    if (results.pairs.size === 0) throw new Error(`${name} told nothing`);
    console.log(`${name}: ${results.features.size} features, ${results.pairs.size} pairs, ${results.failed.length} failures`);
    return results;
}

const cell = (forms) => {
    if (!forms) return "–";
    const bad = Object.keys(forms).filter((form) => !forms[form]);
    if (bad.length === 0) return "yes";
    return bad.length === Object.keys(forms).length ? "**no**" : `**not ${bad.join(", ")}**`;
};

const dialects = await resultsOf(matrix);
const packages = await resultsOf(ai);
writeFileSync(
    path.join(root, "docs/COMPATIBILITY.md"),
    `# Compatibility

Written by \`tools/compatibility.mjs\` from a run of
\`tests/behaviour/${matrix}.test.mjs\` and
\`tests/behaviour/${ai}.test.mjs\`; do not edit. A column is the dialect that the
client speaks (the official package; the gateway's own by HTTP) → the dialect of the provider that answers; there is a
table for each of the latter. "yes": the test passes, both whole and streamed where the feature has both forms. "–": the client's dialect has no words for it.

${dialects.providers.map((p) => `## ${p}\n\n${dialects.table(p)}`).join("\n")}
# The \`ai\` package

The same, asked by the \`ai\` package (Vercel's AI SDK) with its providers \`@ai-sdk/openai\` (chat completions: ai/openai; Responses:
ai/responses), \`@ai-sdk/anthropic\` and \`@ai-sdk/google\`. "–": the package has no words for it there.

${packages.providers.map((p) => `## ai → ${p}\n\n${packages.table(p)}`).join("\n")}`,
);
process.exitCode = dialects.failed.length + packages.failed.length > 0 ? 1 : 0;
