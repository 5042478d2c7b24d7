// A client that knows exactly what it got: nothing, a first byte, or the last one. Rows are held against its word.
import net from "node:net";

import { parseResponse } from "./harness.mjs";
import { rawRequest } from "./process.mjs";

/** One exchange on a connection of its own; resolves with {got: "nothing" | "first" | "last", id, status, headers, body}. */
export function ask(port, key, body, options = {}) {
    return new Promise((resolve) => {
        const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
        const seen = { sentAt: Date.now(), bytes: Buffer.alloc(0) };
        const finish = (got, answer) => {
            socket.destroy();
            const id = seen.bytes.toString("latin1").match(/\r\nx-request-id: ([0-9a-f-]{36})\r\n/i)?.[1];
            resolve({ got, id, sentAt: seen.sentAt, doneAt: Date.now(), status: answer?.status, headers: answer?.headers ?? {}, body: answer?.body });
        };
        socket.on("connect", () => {
            seen.sentAt = Date.now();
            socket.write(Buffer.from(rawRequest(key, body, options), "latin1"));
        });
        socket.on("data", (data) => {
            seen.bytes = Buffer.concat([seen.bytes, data]);
            const answer = parseResponse(seen.bytes, false);
            if (answer) finish("last", answer);
        });
        socket.on("error", () => {});
        socket.on("close", () => finish(seen.bytes.length > 0 ? "first" : "nothing"));
    });
}

/** Many clients at once, each asking again and again until isOver(); returns all that they got. */
export async function crowd(port, key, clients, bodyOf, isOver, after = () => {}) {
    const all = [];
    const one = async (client) => {
        for (let n = 0; !isOver(); n++) {
            const seen = await ask(port, key, bodyOf(client, n));
            all.push(seen);
            await after(seen, client);
        }
    };
    await Promise.all(Array.from({ length: clients }, (_, client) => one(client)));
    return all;
}

/** The largest number of times (ms, any order) that a window of length ms ever held. */
export function mostWithin(times, length) {
    const sorted = [...times].sort((a, b) => a - b);
    let most = 0;
    for (let from = 0, to = 0; to < sorted.length; to++) {
        while (sorted[to] - sorted[from] >= length) from++;
        most = Math.max(most, to - from + 1);
    }
    return most;
}
