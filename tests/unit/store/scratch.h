/* tests/unit/store/scratch.h -- a directory of its own for a test, and removing it. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include "core/slice.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka needs those above and does not include them itself. */
#include "cmocka.h"

struct scratch {
    char dir[64];
    char path[96]; /* a file in it */
};

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void scratch_new(struct scratch *s, const char *file)
{
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/gw-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, file);
}

static inline void scratch_free(struct scratch *s)
{
    assert_int_equal(nftw(s->dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
