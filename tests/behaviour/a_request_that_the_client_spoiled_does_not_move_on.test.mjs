import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";

describe("a request that the client spoiled does not move on", () => {
    for (const status of [400, 413, 415, 422, 451]) {
        for (const stream of [false, true]) {
            test(`${status} of the provider, ${stream ? "streamed" : "whole"}, passes to the client`, async (t) => {
                const a = await startSim(t);
                const b = await startSim(t);
                const gateway = await startGateway(t, {
                    env: { OPENAI_API_KEY: "sk-provider", OPENAI_UPSTREAM_URL: a.base, LOCAL_BASE_URL: b.base, LOCAL_FALLBACK_MODEL: "llama3.2" },
                });
                const { api_key } = await gateway.createTenant();
                const body = { error: { message: "it is your fault", type: "invalid_request_error", param: "messages", code: "spoiled" } };
                await a.script([{ status, body, times: 0 }]);
                const r = await gateway.request(api_key, "/v1/chat/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content: "x" }], stream });
                assert.equal(r.status, status);
                assert.deepEqual(await r.json(), body);
                assert.equal((await a.requests()).length, 1);
                assert.equal((await b.requests()).length, 0);
                assert.equal(r.headers.get("x-llm-gateway-attempts"), "1");
                const row = await gateway.row(r);
                assert.deepEqual([row.status, row.http_status, row.cost_nusd, row.error_message], ["error", status, 0, "it is your fault"]);
            });
        }
    }
});
