// Every recorded exchange of a provider, replayed by the simulator and fetched through the gateway in the same dialect.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import { fixtures, scope, startWorld } from "../support/harness.mjs";
import { eventsOf, expectedOfAnthropic, expectedOfGemini, expectedUsage, jsonOf, recordings } from "../support/recordings.mjs";

const wherefrom = (r) => {
    if (r.name.startsWith("anthropic/")) return r.name.includes("count-tokens") ? "/v1/messages/count_tokens" : "/v1/messages";
    if (r.name.startsWith("openai-embeddings")) return "/v1/embeddings";
    return r.name.startsWith("openai-completions") ? "/v1/completions" : "/v1/chat/completions";
};

/** What remains of a stream when the client did not ask for usage, event by event; asserts that nothing else went. */
function assertOnlyUsageIsMissing(got, recorded) {
    const gotEvents = eventsOf(got);
    let at = 0;
    for (const event of eventsOf(recorded)) {
        const json = jsonOf(event);
        const usageOnly = json?.usage && (json.choices ?? []).length === 0 && !json.moderation && !json.prompt_filter_results;
        if (usageOnly) continue;
        const now = gotEvents[at++];
        if (json === undefined || !("usage" in json) || json.usage === undefined) {
            assert.equal(now, event);
            continue;
        }
        // The remaining bytes are the recorded ones with one span cut out, and the span is the usage member and a comma.
        let head = 0;
        while (head < now.length && now[head] === event[head]) head++;
        let tail = 0;
        while (tail < now.length - head && now.at(-1 - tail) === event.at(-1 - tail)) tail++;
        assert.equal(head + tail, now.length, `${now} is not ${event} with one cut`);
        const { usage, ...rest } = json;
        assert.deepEqual(jsonOf(now), rest);
        assert.match(event.slice(0, event.length - tail).slice(head), /usage/);
    }
    assert.equal(at, gotEvents.length, "no event was added");
}

describe("recorded answers pass byte for byte, and exactly the usage they report is booked", () => {
    const world = scope();
    let sim, gateway, post;
    before(async () => {
        ({ sim, gateway, post } = await startWorld(world, { env: { ENABLE_PROMPT_CACHE: "false" } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const all = recordings().filter((r) => r.status === 200 && !JSON.parse(r.body ?? "{}").error);

    test("there are recordings of every provider", () => {
        const providers = new Set(recordings().map((r) => r.name.split("/")[0]));
        assert.deepEqual([...providers].sort(), [
            "azure", "deepseek", "gemini-openai-compat", "groq", "mistral", "ollama", "openai-chat", "openai-compatible",
            "openai-completions", "openai-embeddings", "openrouter",
        ]);
        assert.ok(all.length > 35, `${all.length}`);
    });

    /** The recorded bytes as the simulator sends them, and the gateway's answer to the same. */
    async function replay(recording, body) {
        const script = recording.body ? { body: recording.body } : { fixture: recording.name };
        await sim.script([script, script]);
        const send = JSON.stringify(body);
        const direct = await fetch(sim.origin + wherefrom(recording), { method: "POST", body: send });
        const recorded = Buffer.from(await direct.arrayBuffer());
        const answer = await post(wherefrom(recording), send);
        const got = Buffer.from(await answer.arrayBuffer());
        assert.equal(answer.status, 200, got.toString());
        assert.equal(answer.headers.get("content-type"), direct.headers.get("content-type"));
        return { recorded, got, row: await gateway.row(answer) };
    }

    const requestOf = (recording) => recording.request?.body ?? { model: "m", messages: [{ role: "user", content: "hi" }] };

    for (const recording of all.filter((r) => !r.isStream)) {
        test(`${recording.name}: whole`, async () => {
            const { recorded, got, row } = await replay(recording, requestOf(recording));
            assert.ok(got.equals(recorded));
            
            assert.equal(row.status, "success");
            const { usage } = JSON.parse(recorded);
            const expected = expectedUsage(usage);
            assert.deepEqual(Object.fromEntries(Object.keys(expected).map((k) => [k, row[k]])), expected);
        });
    }

    for (const recording of all.filter((r) => r.isStream)) {
        for (const asks of [true, false]) {
            test(`${recording.name}: streamed, the client ${asks ? "asks" : "does not ask"} for usage`, async () => {
                const { stream_options, ...body } = { ...requestOf(recording), stream: true };
                const { recorded, got, row } = await replay(recording, asks ? { ...body, stream_options: { include_usage: true } } : body);
                if (asks) assert.equal(got.toString(), recorded.toString());
                else assertOnlyUsageIsMissing(got.toString(), recorded.toString());
                
                assert.equal(row.status, "success");
                const usages = eventsOf(recorded.toString()).map((e) => jsonOf(e)?.usage ?? jsonOf(e)?.x_groq?.usage).filter(Boolean);
                if (usages.length === 0) {
                    assert.equal(row.estimated, 1);
                    assert.ok(row.prompt_tokens > 0 && row.completion_tokens > 0);
                    return;
                }
                const expected = expectedUsage(usages.at(-1));
                assert.deepEqual(Object.fromEntries(Object.keys(expected).map((k) => [k, row[k]])), expected);
            });
        }
    }
});

describe("recorded answers of Anthropic pass byte for byte, and exactly the usage they report is booked", () => {
    const world = scope();
    const model = "claude-haiku-4-5";
    let sim, gateway, post;
    before(async () => {
        ({ sim, gateway, post } = await startWorld(world, { providers: ["anthropic"] }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const all = recordings(["anthropic"]).filter((r) => r.status === 200);

    test("there are recordings", () => assert.ok(all.length >= 30, `${all.length}`));

    for (const recording of all) {
        test(`${recording.name}: ${recording.isStream ? "streamed" : "whole"}`, async () => {
            const script = recording.body ? { body: recording.body } : { fixture: recording.name };
            await sim.script([script, script]);
            const asked = recording.request?.body ?? { max_tokens: 100, messages: [{ role: "user", content: "hi" }] };
            const body = JSON.stringify({ ...asked, model, stream: recording.isStream });
            const headers = { "anthropic-version": "2023-06-01" };
            const direct = await fetch(sim.origin + wherefrom(recording), { method: "POST", headers, body });
            const recorded = Buffer.from(await direct.arrayBuffer());
            const answer = await post(wherefrom(recording), body, { headers });
            const got = Buffer.from(await answer.arrayBuffer());
            assert.equal(got.toString(), recorded.toString());
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.get("content-type"), direct.headers.get("content-type"));
            assert.equal((await sim.requests()).at(-1).body, body);
            const row = await gateway.row(answer);
            assert.equal(row.status, "success");
            if (wherefrom(recording).endsWith("count_tokens")) {
                assert.deepEqual([row.total_tokens, row.cost_nusd, row.estimated], [0, 0, 0]);
                return;
            }
            const usages = recording.isStream
                ? eventsOf(recorded.toString()).map((e) => jsonOf(e)).map((e) => e?.message?.usage ?? e?.usage).filter(Boolean)
                : [JSON.parse(recorded).usage];
            const expected = expectedOfAnthropic(usages);
            assert.deepEqual(Object.fromEntries(Object.keys(expected).map((k) => [k, row[k]])), expected);
        });
    }

    for (const recording of recordings(["anthropic"]).filter((r) => r.status !== 200)) {
        test(`${recording.name}: the error of status ${recording.status}`, async () => {
            await sim.script([{ fixture: recording.name }, { fixture: recording.name }]);
            const body = JSON.stringify({ ...recording.request.body, model });
            const direct = await fetch(`${sim.origin}/v1/messages`, { method: "POST", headers: { "anthropic-version": "2023-06-01" }, body });
            const answer = await post("/v1/messages", body);
            assert.deepEqual([answer.status, await answer.text()], [recording.status, await direct.text()]);
        });
    }
});

describe("recorded answers of Gemini pass byte for byte, and exactly the usage they report is booked", () => {
    const world = scope();
    const model = "gemini-2.5-flash";
    let sim, gateway, post;
    before(async () => {
        ({ sim, gateway, post } = await startWorld(world, { providers: ["gemini"] }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    // Recordings without alt=sse are one JSON array; the provider is asked for events all the same.
    const recordedBody = (name) => JSON.parse(readFileSync(path.join(fixtures, `${name}.json`), "utf8")).response?.body;
    const all = recordings(["gemini"]).filter((r) => r.status === 200 && r.request?.method !== "GET");
    const isArray = (r) => !r.isStream && Array.isArray(recordedBody(r.name));
    const arrays = all.filter((r) => !r.body && isArray(r));
    const others = all.filter((r) => r.body || !isArray(r));
    const contents = [{ role: "user", parts: [{ text: "hi" }] }];
    const methodOf = (r) => (r.isStream ? "streamGenerateContent?alt=sse" : r.request?.url?.includes(":countTokens") ? "countTokens" : "generateContent");
    const bodyOf = (r) => JSON.stringify(r.request?.body ?? { contents });
    const columns = (expected, row) => Object.fromEntries(Object.keys(expected).map((k) => [k, row[k]]));

    test("there are recordings in every form", () => {
        assert.ok(arrays.length >= 6 && others.filter((r) => r.isStream).length >= 8 && others.filter((r) => !r.isStream).length >= 6, `${arrays.length} ${others.length}`);
    });

    for (const recording of others) {
        test(`${recording.name}: ${recording.isStream ? "streamed" : "whole"}`, async () => {
            const script = recording.body ? { body: recording.body } : { fixture: recording.name };
            await sim.script([script, script]);
            const where = `/v1beta/models/${model}:${methodOf(recording)}`;
            const body = bodyOf(recording);
            const direct = await fetch(sim.origin + where, { method: "POST", body });
            const recorded = Buffer.from(await direct.arrayBuffer());
            const answer = await post(where, body);
            const got = Buffer.from(await answer.arrayBuffer());
            assert.equal(got.toString(), recorded.toString());
            assert.ok(got.equals(recorded));
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.get("content-type"), direct.headers.get("content-type"));
            assert.equal((await sim.requests()).at(-1).body, body);
            const row = await gateway.row(answer);
            assert.equal(row.status, "success");
            if (where.endsWith("countTokens")) {
                assert.deepEqual([row.total_tokens, row.cost_nusd, row.estimated], [0, 0, 0]);
                return;
            }
            const usages = (recording.isStream ? eventsOf(recorded.toString()).map(jsonOf) : [JSON.parse(recorded)]).map((e) => e?.usageMetadata ?? {});
            if (!usages.some((u) => "totalTokenCount" in u)) {
                assert.equal(row.estimated, 1); // a prompt that was blocked reports none
                return;
            }
            const expected = expectedOfGemini(usages);
            assert.deepEqual(columns(expected, row), expected);
        });
    }

    for (const recording of arrays) {
        test(`${recording.name}: as one JSON array`, async () => {
            const recorded = recordedBody(recording.name);
            await sim.script({ body: recorded.map((e) => `data: ${JSON.stringify(e)}\r\n\r\n`).join(""), content_type: "text/event-stream" });
            const answer = await post(`/v1beta/models/${model}:streamGenerateContent`, bodyOf(recording));
            assert.equal(answer.headers.get("content-type"), "application/json; charset=UTF-8");
            assert.equal(await answer.text(), `[${recorded.map((e) => JSON.stringify(e)).join(",\r\n")}\r\n]`);
            assert.match((await sim.requests()).at(-1).target, /:streamGenerateContent\?alt=sse$/);
            const row = await gateway.row(answer);
            assert.equal(row.status, "success");
            const expected = expectedOfGemini(recorded.map((e) => e.usageMetadata ?? {}));
            assert.deepEqual(columns(expected, row), expected);
        });
    }

    for (const recording of recordings(["gemini"]).filter((r) => r.status === 404)) {
        test(`${recording.name}: a model that the provider lacks is not the client's fault`, async () => {
            await sim.script({ fixture: recording.name });
            const answer = await post(`/v1beta/models/${model}:${methodOf(recording)}`, bodyOf(recording));
            assert.equal(answer.status, 502);
            assert.equal((await answer.json()).error.status, "UNAVAILABLE");
            assert.equal((await gateway.row(answer)).status, "error");
        });
    }
});
