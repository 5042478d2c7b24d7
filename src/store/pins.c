#include "store/pins.h"

#include "core/clock.h"
#include "core/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAYS = 8, PAGE_BYTES = 4096 };

/* Seconds and checksum; the checksum is 0 only while an entry is being written. Zero: free. */
#define META(second, sum) ((uint64_t)(second) << 32 | (sum))

struct entry {
    _Atomic uint64_t key[2], provider, meta;
};
_Static_assert(sizeof(struct entry) == 32, "the file's format");

/* The file's first page. */
struct head {
    char magic[8];
    uint64_t entries;
};
static const char magic[8] = {'g', 'w', 'p', 'i', 'n', 's', '0', '1'};

struct pins {
    char *base; /* PAGE_BYTES of head, then the entries */
    size_t bytes;
    struct entry *entries;
    size_t bucket_count;
    int fd;
    bool is_mmap;
};

struct key {
    uint64_t words[2];
};

static struct key key_of(struct id tenant, struct slice answer)
{
    const struct slice parts[] = {slice_of((const char *)tenant.bytes, ID_BYTES), answer};
    struct sha256 digest = sha256_of_parts(parts, ARRAY_LEN(parts));
    struct key k;
    memcpy(&k, digest.bytes, sizeof(k));
    return k;
}

uint64_t pins_provider(struct slice name)
{
    struct sha256 digest = sha256_of(name);
    uint64_t provider;
    memcpy(&provider, digest.bytes, sizeof(provider));
    return provider;
}

static uint32_t sum_of(const struct key *k, uint64_t provider, uint32_t second)
{
    const uint64_t words[] = {k->words[0], k->words[1], provider, second};
    return crc32c(0, words, sizeof(words)) | 1u;
}

/* --- the file -----------------------------------------------------------------------------------
 */

static enum err cannot(const char *what, char *why, size_t why_cap)
{
    (void)snprintf(why, why_cap, "pins: %s: %s", what, strerrordesc_np(errno));
    return E_IO;
}

/* Of the right size and form; what is not is begun anew. */
static bool make_file(int fd, size_t entries, size_t bytes)
{
    struct head head = {.entries = 0};
    struct stat st;
    if (fstat(fd, &st) != 0 || pread(fd, &head, sizeof(head), 0) < 0) {
        return false;
    }
    if ((size_t)st.st_size == bytes && memcmp(head.magic, magic, sizeof(magic)) == 0 &&
        head.entries == entries) {
        return true;
    }
    memcpy(head.magic, magic, sizeof(magic));
    head.entries = entries;
    if (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)bytes) != 0) {
        return false;
    }
    ssize_t n = pwrite(fd, &head, sizeof(head), 0);
    errno = n >= 0 ? ENOSPC : errno;
    return n == (ssize_t)sizeof(head);
}

/* What was written before, where the file is not mapped; pages without entries stay untouched. */
static bool read_file(struct pins *p)
{
    static const char zeros[PAGE_BYTES];
    char page[PAGE_BYTES];
    for (size_t at = 0; at < p->bytes; at += sizeof(page)) {
        if (pread(p->fd, page, sizeof(page), (off_t)at) != (ssize_t)sizeof(page)) {
            return false;
        }
        if (memcmp(page, zeros, sizeof(page)) != 0) {
            memcpy(p->base + at, page, sizeof(page));
        }
    }
    return true;
}

static enum err map_file(struct pins *p, const struct pins_conf *conf, char *why, size_t why_cap)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s", SLICE_ARG(conf->path));
    p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->fd < 0) {
        return cannot(path, why, why_cap);
    }
    if (!make_file(p->fd, p->bucket_count * WAYS, p->bytes)) {
        return cannot(path, why, why_cap);
    }
    int kind = p->is_mmap ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *base = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, kind, p->is_mmap ? p->fd : -1, 0);
    if (base == MAP_FAILED) {
        return cannot("no memory can be mapped", why, why_cap);
    }
    p->base = base;
    p->entries = (struct entry *)(void *)(p->base + PAGE_BYTES);
    return p->is_mmap || read_file(p) ? OK : cannot(path, why, why_cap);
}

enum err pins_open(const struct pins_conf *conf, struct pins **out, char *why, size_t why_cap)
{
    struct pins *p = calloc(1, sizeof(*p));
    assert(conf->entries >= PINS_ENTRIES_MIN && conf->entries <= PINS_ENTRIES_MAX);
    if (!p) {
        return E_NOMEM;
    }
    size_t a_page = PAGE_BYTES / sizeof(struct entry);
    p->bytes = PAGE_BYTES + (conf->entries + a_page - 1) / a_page * PAGE_BYTES;
    p->bucket_count = (p->bytes - PAGE_BYTES) / sizeof(struct entry) / WAYS;
    p->fd = -1;
    p->is_mmap = conf->is_mmap;
    enum err e = map_file(p, conf, why, why_cap);
    if (e != OK) {
        pins_close(p);
        return e;
    }
    *out = p;
    return OK;
}

void pins_close(struct pins *p)
{
    if (!p) {
        return;
    }
    if (p->base) {
        (void)munmap(p->base, p->bytes);
    }
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    free(p);
}

bool pins_on_sigbus(struct pins *p, void *address)
{
    char *at = address;
    if (!p || at < p->base || at >= p->base + p->bytes) {
        return false;
    }
    char *page = p->base + (size_t)(at - p->base) / PAGE_BYTES * PAGE_BYTES;
    void *got = mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return got != MAP_FAILED;
}

/* --- entries ------------------------------------------------------------------------------------
 */

static struct entry *bucket_of(const struct pins *p, const struct key *k)
{
    return &p->entries[k->words[0] % p->bucket_count * WAYS];
}

static bool holds(const struct entry *e, const struct key *k, uint64_t *out_provider)
{
    uint64_t meta = atomic_load_explicit(&e->meta, memory_order_acquire);
    const struct key found = {{atomic_load_explicit(&e->key[0], memory_order_relaxed),
                               atomic_load_explicit(&e->key[1], memory_order_relaxed)}};
    *out_provider = atomic_load_explicit(&e->provider, memory_order_relaxed);
    return found.words[0] == k->words[0] && found.words[1] == k->words[1] &&
           (uint32_t)meta == sum_of(&found, *out_provider, (uint32_t)(meta >> 32));
}

bool pins_find(const struct pins *p, struct id tenant, struct slice answer, uint64_t *out_provider)
{
    struct key k = key_of(tenant, answer);
    const struct entry *bucket = bucket_of(p, &k);
    for (size_t i = 0; i < WAYS; i++) {
        uint64_t provider;
        if (holds(&bucket[i], &k, &provider)) {
            *out_provider = provider;
            return true;
        }
    }
    return false;
}

/* The entry of that key, or the one made longest ago; NULL: others write all of them now. What a
 * killed process left half written is free again after a second. */
static struct entry *place_for(const struct pins *p, const struct key *k, uint32_t now,
                               uint64_t *out_meta)
{
    struct entry *bucket = bucket_of(p, k), *oldest = NULL;
    uint32_t oldest_s = 0;
    for (size_t i = 0; i < WAYS; i++) {
        uint64_t ignored, meta = atomic_load_explicit(&bucket[i].meta, memory_order_relaxed);
        uint32_t second = (uint32_t)(meta >> 32);
        bool is_same = holds(&bucket[i], k, &ignored);
        bool is_busy = meta && (uint32_t)meta == 0 && second + 1 >= now;
        if (!is_busy && (is_same || !oldest || second < oldest_s)) {
            oldest = &bucket[i];
            oldest_s = second;
            *out_meta = meta;
        }
        if (is_same) {
            break;
        }
    }
    return oldest;
}

/* A full disk costs this entry its life beyond the process; nothing else. */
static void write_entry(const struct pins *p, const struct entry *e)
{
    if (!p->is_mmap) {
        (void)!pwrite(p->fd, e, sizeof(*e), (off_t)((const char *)e - p->base));
    }
}

void pins_put(struct pins *p, struct id tenant, struct slice answer, struct slice provider,
              int64_t now_unix_ns)
{
    struct key k = key_of(tenant, answer);
    uint64_t keeper = pins_provider(provider), meta = 0;
    uint32_t now = (uint32_t)(now_unix_ns / NS_PER_S);
    for (int i = 0; i < WAYS; i++) { /* another thread may take the place meanwhile */
        struct entry *e = place_for(p, &k, now, &meta);
        if (!e) {
            return;
        }
        if (atomic_compare_exchange_strong_explicit(&e->meta, &meta, META(now, 0),
                                                    memory_order_acquire, memory_order_relaxed)) {
            atomic_store_explicit(&e->key[0], k.words[0], memory_order_relaxed);
            atomic_store_explicit(&e->key[1], k.words[1], memory_order_relaxed);
            atomic_store_explicit(&e->provider, keeper, memory_order_relaxed);
            atomic_store_explicit(&e->meta, META(now, sum_of(&k, keeper, now)),
                                  memory_order_release);
            write_entry(p, e);
            return;
        }
    }
}
