// The real Gemini CLI, headless: it is told to write a file, calls its tool, reports, and each call it made is a row. It
// needs the package (some 100 MB): tools/agents.sh installs the pinned version, nothing else does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { findAgent, runAgent } from "../support/agents.mjs";
import { eventually, startWorld } from "../support/harness.mjs";

const { bin, skip } = findAgent("gemini-cli", "gemini", "GEMINI_CLI_BIN");
const settings = { security: { auth: { selectedType: "gemini-api-key" } }, telemetry: { enabled: false }, privacy: { usageStatisticsEnabled: false }, general: { disableAutoUpdate: true } };

const runCli = (t, gateway, key, model, prompt) =>
    runAgent(
        t,
        process.execPath,
        [bin, "-p", prompt, "-m", model, "--yolo", "--skip-trust", "-o", "json"],
        { CI: "1", GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: gateway.origin },
        { ".gemini/settings.json": JSON.stringify(settings) },
    );

describe("the Gemini CLI completes a task through the gateway", () => {
    for (const [provider, model, endpoint] of [
        ["gemini", "gemini-2.5-flash", /^\/v1beta\/models\/gemini-2\.5-flash:streamGenerateContent$/],
        ["gemini", "gemini-3-flash-preview", /^\/v1beta\/models\/gemini-3-flash-preview:streamGenerateContent$/],
        ["openai", "gpt-4o-mini", /^\/v1\/chat\/completions$/],
        ["anthropic", "claude-haiku-4-5", /^\/v1\/messages$/],
    ]) {
        test(`on ${model} of a provider that speaks ${provider}`, { skip }, async (t) => {
            const { sim, gateway, key, tenant } = await startWorld(t, {
                providers: ["openai", "anthropic", "gemini"],
                sim: { args: ["--only-told-tools"] },
            });
            const content = 'said "hello" äöü\n';
            const args = { file_path: "out.txt", content };
            await sim.script({ tool: "write_file", args, content: "I write it." }, { content: "Done." });
            const { code, stdout, stderr, cwd } = await runCli(t, gateway, key, model, "Write the file.");
            assert.equal(code, 0, `${stdout}\n${stderr}`);
            assert.equal(JSON.parse(stdout).response, "Done.", stdout);
            assert.equal(readFileSync(path.join(cwd, "out.txt"), "utf8"), content);
            const served = await sim.requests();
            assert.ok(served.every((r) => endpoint.test(r.path)), served.map((r) => r.path).join("\n"));
            assert.equal(served.length, 2, "the call, and what came of it");
            assert.match(served[1].body, /Successfully created|out\.txt/);
            if (provider === "gemini") assert.match(served[0].headers["x-goog-api-client"], /^google-genai-sdk\//);
            assert.ok(served.every((r) => !r.head.includes(key)));
            const where = `tenant_id = '${tenant.tenant_id}' AND total_tokens > 0`;
            const rows = await eventually(async () => {
                const found = await gateway.sql(`SELECT status, provider, model, dialect, estimated, cost_nusd FROM requests WHERE ${where}`);
                return found.length >= served.length && found;
            }, "a row for each call");
            assert.equal(rows.length, served.length, JSON.stringify(rows));
            const expected = { status: "success", provider, model, dialect: "gemini", estimated: 0 };
            for (const { cost_nusd: cost, ...row } of rows) assert.deepEqual([row, cost > 0], [expected, true]);
        });
    }
});
