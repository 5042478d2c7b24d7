import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { startWorld } from "../support/harness.mjs";

const preflight = (gateway, origin) =>
    fetch(`${gateway.origin}/v1/chat/completions`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" },
    });

describe("browsers are let in only by configuration", () => {
    test("by default no origin may call", async (t) => {
        const { gateway, chat } = await startWorld(t);
        const before = await preflight(gateway, "https://app.example");
        assert.equal(before.headers.get("access-control-allow-origin"), null);
        const r = await chat("hi", {}, { headers: { origin: "https://app.example" } });
        assert.equal(r.status, 200);
        assert.equal(r.headers.get("access-control-allow-origin"), null);
    });

    test("CORS_ALLOW_ORIGINS lets in those it names, and only those", async (t) => {
        const { gateway, chat } = await startWorld(t, { env: { CORS_ALLOW_ORIGINS: "https://app.example,https://b.example" } });
        for (const origin of ["https://app.example", "https://b.example"]) {
            const before = await preflight(gateway, origin);
            assert.equal(before.status, 204);
            assert.equal(before.headers.get("access-control-allow-origin"), origin);
            assert.match(before.headers.get("access-control-allow-methods"), /POST/);
            assert.equal(before.headers.get("access-control-allow-headers"), "authorization,content-type");
            const r = await chat("hi", {}, { headers: { origin } });
            assert.equal(r.headers.get("access-control-allow-origin"), origin);
            assert.match(r.headers.get("access-control-expose-headers"), /x-request-id/);
            assert.equal(r.headers.get("access-control-allow-credentials"), null);
        }
        const errors = await fetch(`${gateway.origin}/v1/chat/completions`, { method: "POST", headers: { origin: "https://app.example" }, body: "{}" });
        assert.equal(errors.status, 401);
        assert.equal(errors.headers.get("access-control-allow-origin"), "https://app.example");
        for (const origin of ["https://evil.example", "https://app.example.evil", "null"]) {
            assert.equal((await preflight(gateway, origin)).headers.get("access-control-allow-origin"), null);
        }
    });
});
