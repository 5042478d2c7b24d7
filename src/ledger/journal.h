/* ledger/journal.h -- the journal's format: records in slots, sans-I/O.
 *
 * A segment is an array of 256-byte slots, 16 a page. A record takes 1..JOURNAL_PARTS_MAX slots
 * that stand one after the other in one segment.
 *
 *   slot     0 crc32c of bytes 4 .. 24 + length   4 generation   8 sequence (8 bytes)
 *           16 kind   17 part   18 parts   20 length (2 bytes)   24 payload
 *
 * The generation is the segment's number, so what an earlier use of the same file left behind is
 * seen to be old; the sequence is the record's number in its worker and ties the parts together. A
 * slot that fails its check is skipped, never taken for the end. Integers are little-endian as the
 * machine has them: a journal is read on the machine that wrote it.
 *
 * The payload: three ids, a byte of status and dialect, a byte of flags, zigzag varints, texts with
 * their length before them.
 */
#ifndef LEDGER_JOURNAL_H
#define LEDGER_JOURNAL_H

#include "chat/record.h"

enum {
    JOURNAL_SLOT_BYTES = 256,
    JOURNAL_HEAD_BYTES = 24,
    JOURNAL_PAYLOAD_BYTES = JOURNAL_SLOT_BYTES - JOURNAL_HEAD_BYTES,
    JOURNAL_PAGE_BYTES = 4096,
    JOURNAL_PAGE_SLOTS = JOURNAL_PAGE_BYTES / JOURNAL_SLOT_BYTES,
    JOURNAL_IDS_BYTES = 3 * ID_BYTES,
    /* ids, two bytes, 16 varints of 10, 7 lengths of 2, the texts at their bounds */
    JOURNAL_RECORD_MAX_BYTES = JOURNAL_IDS_BYTES + 2 + 16 * 10 + 7 * 2 + 5 * RECORD_TEXT_MAX_BYTES +
                               RECORD_ERROR_MAX_BYTES + RECORD_DETAIL_MAX_BYTES,
    JOURNAL_PARTS_MAX =
        (JOURNAL_RECORD_MAX_BYTES + JOURNAL_PAYLOAD_BYTES - 1) / JOURNAL_PAYLOAD_BYTES,
    /* What a close takes at most when room is short: error and detail are left out then and other
     * texts cut to JOURNAL_TIGHT_TEXT_BYTES. */
    JOURNAL_TIGHT_PARTS = 2,
    JOURNAL_TIGHT_TEXT_BYTES = 40
};

enum journal_kind { JOURNAL_NONE = 0, JOURNAL_OPEN = 1, JOURNAL_CLOSE = 2, JOURNAL_SINGLE = 3 };

/* Writes the payload at out, which holds JOURNAL_RECORD_MAX_BYTES; returns its length. Texts are
 * cut at whole UTF-8 characters; a detail above its bound is left out, since half of a JSON text is
 * worth nothing. */
size_t journal_encode(const struct usage_record *r, bool is_tight, char *out) NONNULL;
/* Texts are borrowed from payload. False: not a payload, and out means nothing. */
MUST_USE bool journal_decode(struct slice payload, struct usage_record *out) NONNULL;
/* The request's id alone, which is all that draining needs of an open record. */
MUST_USE bool journal_peek_id(struct slice payload, struct id *out) NONNULL;

static inline size_t journal_parts(size_t payload_bytes)
{
    return (payload_bytes + JOURNAL_PAYLOAD_BYTES - 1) / JOURNAL_PAYLOAD_BYTES;
}

struct journal_stamp {
    enum journal_kind kind;
    uint32_t generation;
    uint64_t sequence;
};

/* Fills the slots from base on with a payload. */
void journal_fill(char *base, const struct journal_stamp *stamp, struct slice payload) NONNULL;

struct journal_item {
    struct journal_stamp stamp;
    size_t slot; /* the first */
    size_t parts;
    struct slice
        payload; /* borrowed from the segment, or from scratch when it took several slots */
};

/* The first whole record at or after slot *at in base[0..slots); *at moves behind it. False: there
 * is none, and *at is slots. generation 0: any. scratch holds JOURNAL_RECORD_MAX_BYTES and more:
 * JOURNAL_PARTS_MAX payloads. */
MUST_USE bool journal_next(const char *base, size_t slots, uint32_t generation, size_t *at,
                           char *scratch, struct journal_item *out) NONNULL;
/* The newest generation of any valid slot; 0: none. */
uint32_t journal_generation(const char *base, size_t slots) NONNULL;

enum { JOURNAL_SCRATCH_BYTES = JOURNAL_PARTS_MAX * JOURNAL_PAYLOAD_BYTES };

#endif
