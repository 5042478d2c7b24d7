/* ledger/segment.h -- one file of the journal and its memory.
 *
 * Prepared, recycled and removed by the store's writer thread (or by whoever opens the ledger),
 * written by one worker between being handed over and being full. With is_mmap the memory is the
 * file's; without, it is private, and the worker writes each record to the file as well.
 */
#ifndef LEDGER_SEGMENT_H
#define LEDGER_SEGMENT_H

#include "core/err.h"
#include "ledger/journal.h"

#include <stdatomic.h>

struct segment {
    _Atomic(char *) base; /* NULL: this struct is free. Atomic for ledger_on_sigbus() */
    size_t bytes;
    size_t populated_bytes; /* from the start: page tables filled for writing */
    int fd;
    uint32_t generation; /* its number; in the file's name too */
    bool is_mmap;
};

struct segment_dir {
    int fd; /* of the instance directory */
    uint32_t worker;
    size_t bytes;
    bool is_mmap;
};

enum { SEGMENT_NAME_BYTES = 40 };

void segment_name(uint32_t worker, uint32_t generation, char *out);
/* "w<worker>-<generation>.seg" */
MUST_USE bool segment_name_parse(const char *name, uint32_t *out_worker, uint32_t *out_generation);

/* The file is zeroed in 4 KiB writes: larger ones make the kernel use large folios, and then the
 * first store to each stalls the worker; the first segment is only reserved. E_IO: errno says why.
 */
MUST_USE enum err segment_create(struct segment *s, const struct segment_dir *dir,
                                 uint32_t generation);
/* The same file under a new number; what it held is told apart by generation. Its pages stay mapped
 * or are let go. */
MUST_USE enum err segment_recycle(struct segment *s, const struct segment_dir *dir,
                                  uint32_t generation, bool is_kept_mapped);
/* Lets its pages go: the page cache keeps them, our resident size does not. */
void segment_forget(struct segment *s);
void segment_unmap(struct segment *s);
/* Unmaps and deletes. */
void segment_remove(struct segment *s, const struct segment_dir *dir);
/* Page tables for [.., until) are filled, so that the worker meets no page fault there. */
void segment_populate(struct segment *s, size_t until);
/* Makes the pages from..to durable. False: errno says why. */
MUST_USE bool segment_sync(const struct segment *s, size_t from, size_t to);

static inline size_t segment_slots(const struct segment *s)
{
    return s->bytes / JOURNAL_SLOT_BYTES;
}

static inline char *segment_base(const struct segment *s)
{
    return atomic_load_explicit(&s->base, memory_order_relaxed);
}

#endif
