import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { RawClient, eventually, scope, startWorld } from "../support/harness.mjs";

describe("an aborted request is cancelled upstream and billed as client_gone", () => {
    const world = scope();
    let sim, gateway, tenant, client;
    before(async () => {
        ({ sim, gateway, tenant } = await startWorld(world, { priced: true, tenant: { monthly_budget: 1 } }));
        client = new OpenAI({ apiKey: tenant.api_key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const cancelled = async () =>
        eventually(async () => {
            const [seen] = await sim.requests();
            return seen?.client_gone && seen;
        }, "the simulator to see its client leave");
    const settled = () =>
        eventually(async () => {
            const { json } = await gateway.admin("GET", `explain?key=${tenant.key_id}&model=gpt-4o-mini`);
            return json.limits.every((l) => l.monthly_budget.reserved === 0) && json.limits;
        }, "the reservation to be given back");

    test("the package aborts in the middle of a stream", async () => {
        const abort = new AbortController();
        const { data: stream, response } = await client.chat.completions
            .create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "sim:tokens=1000;token_bytes=40;rate=2ms" }], stream: true }, { signal: abort.signal })
            .withResponse();
        let seen = 0;
        for await (const chunk of stream) {
            if (chunk.choices[0]?.delta?.content && ++seen === 10) abort.abort();
        }
        const upstream = await cancelled();
        assert.ok(upstream.sent_bytes < 1000 * 40, "the provider was stopped early");
        const row = await gateway.row(response);
        assert.equal(row.status, "client_gone");
        assert.equal(row.estimated, 1);
        assert.ok(row.prompt_tokens > 0);
        assert.ok(row.completion_tokens >= 100, "ten pieces of 40 bytes at 4 bytes a token");
        assert.ok(row.completion_tokens < 10000);
        assert.equal(row.cost_nusd, row.prompt_tokens * 150 + row.completion_tokens * 600);
        const limits = await settled();
        assert.ok(limits.some((l) => l.monthly_budget.spent > 0));
    });

    test("a client that leaves before the answer has begun", async () => {
        const id = `gone-${process.hrtime.bigint()}`;
        const body = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: "sim:delay=3600s" }] });
        const raw = await RawClient.connect(gateway.port);
        await raw.send(
            `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: ${id}\r\nauthorization: Bearer ${tenant.api_key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        );
        await eventually(async () => (await sim.requests()).length === 1, "the request to reach the provider");
        raw.close();
        await cancelled();
        const [row] = await gateway.rows(`client_request_id = '${id}'`);
        assert.deepEqual([row.status, row.estimated, row.completion_tokens], ["client_gone", 1, 0]);
        assert.ok(row.prompt_tokens > 0);
        assert.equal(row.cost_nusd, row.prompt_tokens * 150);
        await settled();
    });

    test("a client that resets while its body is on the way leaves no open reservation", async () => {
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tenant.api_key}\r\ncontent-length: 1000\r\n\r\n{"model":`);
        raw.reset();
        await settled();
        assert.equal((await sim.requests()).length, 0);
    });
});
