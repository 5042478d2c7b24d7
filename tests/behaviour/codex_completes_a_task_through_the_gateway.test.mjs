// The real command line of Codex, headless: it is told to write a file, calls its tool, reports, and each call it made is a
// row. It needs the package (some 420 MB): tools/agents.sh installs the pinned version, nothing else does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { describe, test } from "node:test";

import { findAgent, runAgent } from "../support/agents.mjs";
import { eventually, startWorld } from "../support/harness.mjs";

const { bin, skip } = findAgent("codex", "codex", "CODEX_BIN");

/** Stands before the gateway and keeps the bodies that were posted: {origin, bodies, statuses of GETs}. */
async function recorder(t, gateway) {
    const bodies = [];
    const gets = [];
    const server = http.createServer(async (request, response) => {
        const pieces = [];
        for await (const piece of request) pieces.push(piece);
        if (request.method === "POST") bodies.push(Buffer.concat(pieces));
        const onward = http.request(gateway.origin + request.url, { method: request.method, headers: request.headers }, (answer) => {
            if (request.method === "GET") gets.push(answer.statusCode);
            response.writeHead(answer.statusCode, answer.headers);
            answer.pipe(response);
        });
        onward.on("error", () => response.destroy());
        onward.end(Buffer.concat(pieces));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
        server.closeAllConnections();
        server.close();
    });
    return { origin: `http://127.0.0.1:${server.address().port}`, bodies, gets };
}

const configOf = (origin, model) => `model = "${model}"
model_provider = "gateway"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.gateway]
name = "gateway"
base_url = "${origin}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
supports_websockets = true`;

const runCodex = (t, origin, key, model, prompt) =>
    runAgent(
        t,
        bin,
        ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt],
        { GATEWAY_KEY: key },
        { ".codex/config.toml": configOf(origin, model) },
    );

const content = 'said "hello" äöü';
const tools = {
    exec_command: { args: { cmd: `printf '%s\\n' '${content}' > out.txt` }, item: "command_execution" },
    apply_patch: { args: `*** Begin Patch\n*** Add File: out.txt\n+${content}\n*** End Patch\n`, item: "file_change" },
};

describe("Codex completes a task through the gateway", () => {
    // gpt-5.5 is a model that Codex knows: it then has apply_patch, a custom tool whose input is no JSON.
    for (const [provider, dialects, model, served, endpoint, tool] of [
        ["openai", "[openai, responses]", "gpt-5.5", "gpt-5.5", "/v1/responses", "exec_command"],
        ["openai", "[openai, responses]", "gpt-5.5", "gpt-5.5", "/v1/responses", "apply_patch"],
        ["anthropic", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5", "/v1/messages", "exec_command"],
        ["anthropic", "anthropic", "gpt-5.5", "claude-sonnet-4-5", "/v1/messages", "apply_patch"],
        ["openai", "openai", "gpt-5.5", "gpt-5.5", "/v1/chat/completions", "exec_command"],
    ]) {
        test(`with ${tool} on ${served}, by ${endpoint}`, { skip }, async (t) => {
            const { sim, gateway, key, tenant } = await startWorld(t, {
                sim: { args: ["--only-told-tools"] },
                config: (s) => `
providers:
  ${provider}: {dialect: ${dialects}, base_url: "${provider === "openai" ? s.base : s.origin}", keys: [sk-test]}
models:
  "${model}": {targets: [[{provider: ${provider}, model: "${served}"}]]}
`,
            });
            const { args, item } = tools[tool];
            await sim.script({ path: endpoint, content: "I write it.", tool, args: typeof args === "string" ? args : JSON.stringify(args) });
            const between = await recorder(t, gateway);
            const { code, stdout, stderr, cwd } = await runCodex(t, between.origin, key, model, "Write the file.");
            const said = `${stdout}\n${stderr}`;
            assert.equal(code, 0, said);
            assert.equal(readFileSync(path.join(cwd, "out.txt"), "utf8"), `${content}\n`, said);
            const events = stdout.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
            assert.ok(events.some((e) => e.type === "item.completed" && e.item.type === item && e.item.status === "completed"), said);
            assert.ok(!events.some((e) => e.type === "error" || e.type === "turn.failed"), said); // no "Reconnecting..." either
            assert.deepEqual(between.gets, [426], "one attempt at a WebSocket");

            const requests = await sim.requests();
            assert.deepEqual([...new Set(requests.map((r) => r.path))], [endpoint]);
            assert.equal(requests.length, 2, "the call, and what came of it");
            if (endpoint === "/v1/responses") {
                assert.deepEqual(requests.map((r) => r.bytes.toString()), between.bodies.map(String), "bytes pass as they are");
                const [, second] = requests;
                assert.equal(second.json.store, false);
                const thought = second.json.input.find((i) => i.type === "reasoning");
                assert.ok(thought.encrypted_content.length > 0, "the proof came through the gateway and back");
                assert.ok(second.json.client_metadata && second.json.prompt_cache_key, "members that nobody here knows passed, too");
            }
            const where = `tenant_id = '${tenant.tenant_id}'`;
            await eventually(async () => (await gateway.sql(`SELECT count(*) AS n FROM requests WHERE ${where}`))[0].n >= requests.length, "a row for each call");
            const rows = await gateway.sql(`SELECT status, dialect, provider, model, asked_model, estimated, is_stream, total_tokens, cost_nusd FROM requests WHERE ${where}`);
            assert.equal(rows.length, requests.length, JSON.stringify(rows));
            for (const row of rows) {
                assert.deepEqual([row.status, row.dialect, row.provider, row.model, row.asked_model, row.estimated, row.is_stream], ["success", "responses", provider, served, model, 0, 1]);
                assert.ok(row.total_tokens > 0 && row.cost_nusd > 0, JSON.stringify(row));
            }
        });
    }
});
