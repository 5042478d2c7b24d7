// node tools/make_unicode.mjs > src/token/unicode_table.c -- the character classes of src/token/split.c, from the Unicode
// data of the Node that runs it. Run by hand; the result is committed.
const CLASSES = [ // in the order of enum unicode_class after UNICODE_OTHER
  ["UPPER", /^[\p{Lu}\p{Lt}]$/u], ["LOWER", /^\p{Ll}$/u], ["LETTER", /^[\p{Lm}\p{Lo}]$/u], ["MARK", /^\p{M}$/u],
  ["NUMBER", /^\p{N}$/u], ["SPACE", /^\p{White_Space}$/u], ["NEWLINE", /^[]$/u],
];
const BLOCK = 128;
const classOf = (cp) => {
  if (cp === 10 || cp === 13) return 7;
  if (cp >= 0xd800 && cp < 0xe000) return 0;
  const c = String.fromCodePoint(cp);
  return CLASSES.findIndex(([, re]) => re.test(c)) + 1;
};
const blocks = new Map(), index = [];
for (let at = 0; at < 0x110000; at += BLOCK) {
  const bytes = [];
  for (let i = 0; i < BLOCK; i += 2) bytes.push(classOf(at + i) | (classOf(at + i + 1) << 4));
  const key = bytes.join();
  if (!blocks.has(key)) blocks.set(key, blocks.size);
  index.push(blocks.get(key));
}
// Planes 4 to 13 and 15, 16 hold nothing of a class; the index ends where the rest of it is the empty block.
const empty = index[0xe1000 / BLOCK];
while (index.at(-1) === empty) index.pop();
if (blocks.size > 256) throw new Error("blocks do not fit a byte");
const rows = (values, width) => {
  const lines = [];
  for (let i = 0; i < values.length; i += width) lines.push("    " + values.slice(i, i + width).join(", ") + ",");
  return lines.join("\n");
};
console.log(`/* token/unicode_table.c -- a table made by tools/make_unicode.mjs: Unicode ${process.versions.unicode}. */
#include "token/unicode.h"

/* clang-format off */
const uint8_t unicode_index[UNICODE_INDEX_LEN] = {
${rows(index, 32)}
};
const uint8_t unicode_blocks[UNICODE_BLOCKS_LEN] = {
${rows([...blocks.keys()].join().split(","), 32)}
};`);
console.error(`UNICODE_INDEX_LEN = ${index.length}, UNICODE_BLOCKS_LEN = ${blocks.size * BLOCK / 2}, empty block ${empty}`);
