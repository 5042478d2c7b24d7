// The coding agents that tests drive without a terminal: where tools/agents.sh put them, and running one.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { root, tempDir } from "./harness.mjs";

const LONGEST_MS = 120000;

/** Where an agent is, and why its tests are skipped if it is nowhere: {bin, skip}. name: as tools/agents.sh knows it. */
export function findAgent(name, command, variable) {
    const bin = process.env[variable] ?? path.join(root, "build", name, "node_modules/.bin", command);
    return { bin, skip: !existsSync(bin) && `${name} is not installed here: tools/agents.sh ${name}` };
}

/**
 * Runs one in a directory and a home of its own, with nothing but the gateway to talk to: {code, stdout, stderr, cwd}.
 * files: the texts of what lies in its home, by their paths there.
 */
export async function runAgent(t, command, args, env, files = {}) {
    const home = tempDir(t);
    const cwd = path.join(home, "project");
    mkdirSync(cwd);
    for (const [name, text] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(home, name)), { recursive: true });
        writeFileSync(path.join(home, name), text);
    }
    const child = spawn(command, args, {
        cwd,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
            PATH: process.env.PATH,
            HOME: home,
            TMPDIR: home,
            HTTPS_PROXY: "http://127.0.0.1:9", // whatever would leave the machine does not
            HTTP_PROXY: "http://127.0.0.1:9",
            NO_PROXY: "127.0.0.1,localhost",
            ...env,
        },
    });
    t.after(() => child.kill("SIGKILL"));
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (d) => (stdout += d));
    child.stderr.setEncoding("utf8").on("data", (d) => (stderr += d));
    const late = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
    const [code] = await once(child, "close");
    clearTimeout(late);
    return { code, stdout, stderr, cwd };
}
