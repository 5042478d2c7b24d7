// The routes are read from the tables of the source, and the document from the running gateway.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { adminKey, root, startWorld } from "../support/harness.mjs";

const source = (file) => readFileSync(path.join(root, file), "utf8");

/** "GET /v1/models/{}" for every route of the router's and the admin API's tables; {} is any parameter. */
function routesOfSource() {
    const routes = new Set();
    const router = source("src/gateway/router.c").match(/api_routes\[\] = \{(.*?\n)\};/s)[1];
    const verbsOfRaw = { POST: ["POST"], GET_POST: ["GET", "POST"], STORED: ["GET", "POST", "DELETE"], ANY: ["GET", "POST", "PUT", "PATCH", "DELETE"] };
    for (const [, kind, where, rest] of router.matchAll(/(CHAT|GEMINI|MODELS|DOOR|RAW)\("([^"]+)"(.*?)\),?(?: \/\*.*)?\n/g)) {
        const full = where.replace("{api}", "/api/v1").replace(/(?<=.)\/$/, "/{}").replace("*", "{}");
        if (full === "/api/v1/admin/{}") continue;
        if (kind === "RAW") {
            for (const verb of verbsOfRaw[rest.match(/, (\w+),/)[1]]) routes.add(`${verb} ${full}`);
            continue;
        }
        const verb = kind === "CHAT" || kind === "GEMINI" ? "POST" : "GET";
        if (kind === "DOOR") assert.match(rest, /GET_HEAD/, `${where}: the test knows only GET_HEAD here`);
        routes.add(`${verb} ${full}`);
    }
    const admin = source("src/admin/admin.c");
    const plain = admin.match(/plain_rows\[\] = \{(.*?)\n\};/s)[1];
    for (const [, name, verb] of plain.matchAll(/\{"(\w+)", VERB_(\w+), \w+\}/g)) routes.add(`${verb} /api/v1/admin/${name}`);
    // What is dispatched below tenants/ and requests/ by code: each function that answers, with its verb and path.
    const below = [
        ["tenants_get", "GET tenants/{}"], ["tenants_patch", "PATCH tenants/{}"], ["tenants_delete", "DELETE tenants/{}"], ["tenants_usage", "GET tenants/{}/usage"],
        ["keys_list", "GET tenants/{}/keys"], ["keys_create", "POST tenants/{}/keys"], ["keys_rotate", "POST tenants/{}/keys/{}/rotate"],
        ["keys_delete", "DELETE tenants/{}/keys/{}"], ["keys_patch", "PATCH tenants/{}/keys/{}"], ["requests_get", "GET requests/{}"],
    ];
    const known = new Set([...plain.matchAll(/(\w+)\}/g)].map((m) => m[1]));
    const called = new Set([...admin.matchAll(/\b((?:tenants|keys|requests|audit|explain|prices|cache|state|reload)_\w+)\(d\b/g)].map((m) => m[1]));
    assert.deepEqual([...called].filter((f) => !known.has(f)).sort(), below.map(([f]) => f).sort(), "a function is dispatched that this test does not know");
    for (const [, route] of below) routes.add(route.replace(" ", " /api/v1/admin/"));
    return routes;
}

describe("the OpenAPI document covers exactly the routes", () => {
    test("every route is described and nothing else", async (t) => {
        const { gateway } = await startWorld(t);
        const r = await fetch(`${gateway.origin}/api/v1/openapi.json`);
        assert.equal(r.status, 200);
        assert.match(r.headers.get("content-type"), /^application\/json/);
        const document = await r.json();
        assert.match(document.openapi, /^3\.1/);
        const described = new Set();
        for (const [where, item] of Object.entries(document.paths)) {
            for (const verb of Object.keys(item)) if (/^(get|put|post|patch|delete)$/.test(verb)) described.add(`${verb.toUpperCase()} ${where.replace(/\{\w+\}/g, "{}")}`);
        }
        assert.deepEqual([...described].sort(), [...routesOfSource()].sort());
    });

    test("every described route answers something else than 404 and 405", async (t) => {
        const { gateway, tenant } = await startWorld(t);
        const document = await (await fetch(`${gateway.origin}/api/v1/openapi.json`)).json();
        for (const [where, item] of Object.entries(document.paths)) {
            for (const verb of Object.keys(item).filter((v) => /^(get|put|post|patch|delete)$/.test(v))) {
                const filled = where.replace("{tenant_id}", tenant.tenant_id).replace("{key_id}", tenant.key_id).replace("models/{id}", "models/m").replace("/passthrough/{path}", "/passthrough/local/models").replace(/\{\w+\}/, "m");
                const isAdmin = filled.startsWith("/api/v1/admin");
                const r = await fetch(gateway.origin + filled, {
                    method: verb.toUpperCase(),
                    headers: { authorization: `Bearer ${isAdmin ? adminKey : tenant.api_key}` },
                    body: verb === "get" || verb === "delete" ? undefined : "{}",
                });
                const text = await r.text();
                assert.notEqual(r.status, 405, `${verb} ${where}`);
                if (r.status === 404) assert.match(text, /Request not found|does not exist|o such|Not Found|not found|Invalid URL|Tenant not found|Key not found/, `${verb} ${where}`);
                assert.ok(String(r.status) in item[verb].responses || `${String(r.status)[0]}XX` in item[verb].responses, `${verb} ${where}: ${r.status} is not described`);
            }
        }
    });

    test("references resolve and operations have ids of their own", async (t) => {
        const { gateway } = await startWorld(t);
        const document = await (await fetch(`${gateway.origin}/api/v1/openapi.json`)).json();
        const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((m) => m[1]);
        for (const ref of refs) assert.ok(ref.split("/").reduce((at, k) => at?.[k.replace(/~1/g, "/").replace(/~0/g, "~")], document), ref);
        const ids = Object.values(document.paths).flatMap((i) => Object.values(i).map((o) => o.operationId).filter(Boolean));
        assert.equal(new Set(ids).size, ids.length);
        const docs = await fetch(`${gateway.origin}/docs`);
        assert.equal(docs.status, 200);
        assert.match(docs.headers.get("content-security-policy"), /default-src 'none'/);
    });
});
