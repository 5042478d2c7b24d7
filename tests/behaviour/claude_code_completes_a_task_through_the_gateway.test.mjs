// The real command line of Claude Code, headless: it is told to write a file, calls its tool, reports, and each call it
// made is a row. It needs the package (some 240 MB): tools/agents.sh installs the pinned version, nothing else does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { findAgent, runAgent } from "../support/agents.mjs";
import { eventually, startWorld } from "../support/harness.mjs";

const { bin, skip } = findAgent("claude-code", "claude", "CLAUDE_CODE_BIN");

const runClaude = (t, gateway, key, model, prompt) =>
    runAgent(t, bin, ["-p", prompt, "--model", model, "--permission-mode", "acceptEdits", "--output-format", "json"], {
        ANTHROPIC_BASE_URL: gateway.origin,
        ANTHROPIC_AUTH_TOKEN: key,
        ANTHROPIC_SMALL_FAST_MODEL: model,
        ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        DISABLE_AUTOUPDATER: "1",
        DISABLE_TELEMETRY: "1",
        DISABLE_ERROR_REPORTING: "1",
    });

describe("Claude Code completes a task through the gateway", () => {
    for (const [provider, model, endpoint] of [
        ["anthropic", "claude-sonnet-4-5", "/v1/messages"],
        ["openai", "gpt-4o-mini", "/v1/chat/completions"],
    ]) {
        test(`on ${model} of a provider that speaks ${provider}`, { skip }, async (t) => {
            const { sim, gateway, key, tenant } = await startWorld(t, {
                providers: ["openai", "anthropic"],
                sim: { args: ["--only-told-tools"] },
            });
            const content = 'said "hello" äöü\n';
            const directive = `sim:tool=Write;args=${JSON.stringify({ file_path: "PROJECT/out.txt", content })};content=I write it.`;
            const { code, stdout, stderr, cwd } = await runClaude(t, gateway, key, model, `Write the file.\n${directive.replace("PROJECT/", "")}`);
            assert.equal(code, 0, `${stdout}\n${stderr}`);
            const result = JSON.parse(stdout);
            assert.equal(result.is_error, false, stdout);
            assert.equal(readFileSync(path.join(cwd, "out.txt"), "utf8"), content);
            const served = (await sim.requests()).filter((r) => r.path === endpoint);
            assert.ok(served.length >= 2, "the call, and what came of it");
            assert.ok(served.some((r) => r.body.includes("tool_result") || r.body.includes('"role":"tool"')));
            const [{ n }] = await eventually(async () => {
                const rows = await gateway.sql(`SELECT count(*) AS n FROM requests WHERE tenant_id = '${tenant.tenant_id}' AND status = 'success' AND provider = '${provider}' AND total_tokens > 0`);
                return rows[0].n >= served.length && rows;
            }, "a row for each call");
            assert.equal(n, served.length);
            const rows = await gateway.sql(`SELECT status, model, dialect, estimated, cost_nusd FROM requests WHERE tenant_id = '${tenant.tenant_id}' AND total_tokens > 0`);
            assert.equal(rows.length, served.length, JSON.stringify(rows));
            assert.ok(rows.every((r) => r.model === model && r.dialect === "anthropic" && r.estimated === 0 && r.cost_nusd > 0), JSON.stringify(rows));
            t.diagnostic(`${served.length} calls; Claude Code says: ${result.result?.slice(0, 80)}`);
        });
    }
});
