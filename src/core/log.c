#include "core/log.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/money.h"
#include "core/text.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

enum {
    GATHER_MS = 50,      /* how long lines may lie in the rings while there is traffic */
    CLOSE_WAIT_S = 2,    /* how long log_free waits for a reader of our output that stands still */
    LINE_TAIL_BYTES = 4, /* kept for the quote, brace and line feed that end a line */
    NUDGE_BYTES = LOG_RING_BYTES / 2, /* a ring this full does not wait for the gathering time */
    EVENT_TEXT_BYTES = 2048           /* text of a log_event */
};

/* A byte ring with one producer. Positions count bytes since the start and never wrap.
 *   tail..head published, unread | head..head+line_len being built | the rest free
 * The mapping is LOG_LINE_MAX_BYTES longer than the ring, so that a line is always built in one
 * piece; log_end copies what ran past the end to the beginning. */
struct log_ring {
    struct log *log; /* borrowed */
    struct log_ring *next;
    char *bytes;
    char *line; /* NULL: no line is being built */
    size_t line_len;
    int64_t stamp_s; /* the second that stamp shows */
    char stamp[CLOCK_RFC3339_BYTES + 1];
    uint64_t tail_seen;   /* the producer's last reading of tail */
    uint64_t tail_nudged; /* tail + 1 when the thread was last nudged; 0: never */
    _Alignas(64) _Atomic uint64_t head;
    _Atomic int64_t dropped;
    _Alignas(64) _Atomic uint64_t tail;
};

struct log {
    int fd;
    _Atomic int level;
    _Atomic bool is_asleep; /* the thread waits for wake_cond, not for time */
    _Atomic(struct log_ring *) rings;
    _Atomic int64_t lost; /* lines lost because the descriptor failed */
    pthread_t thread;
    pthread_mutex_t wake_lock; /* guards is_closing and is_nudged */
    pthread_cond_t wake_cond;
    bool is_closing;
    bool is_nudged;             /* some ring is half full: do not wait for the time */
    pthread_mutex_t event_lock; /* makes log_event the single producer of event_ring */
    struct log_ring *event_ring;
};

static const struct slice level_members[] = {
    SLICE_INIT("\",\"level\":\"debug\",\"msg\":\""),
    SLICE_INIT("\",\"level\":\"info\",\"msg\":\""),
    SLICE_INIT("\",\"level\":\"warning\",\"msg\":\""),
    SLICE_INIT("\",\"level\":\"error\",\"msg\":\""),
};

/* --- the log thread --- */

static int64_t count_lines(const char *p, size_t len)
{
    int64_t lines = 0;
    const char *end = p + len;
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        lines++;
        p++;
    }
    return lines;
}

static void write_all(struct log *log, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(log->fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = log->fd, .events = POLLOUT};
            (void)poll(&wait, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            atomic_fetch_add_explicit(&log->lost, count_lines(p, len), memory_order_relaxed);
            return;
        }
    }
}

/* Writes what the ring holds; false when it was empty. */
static bool drain_ring(struct log *log, struct log_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load(&ring->head);
    if (tail == head) {
        return false;
    }
    size_t len = (size_t)(head - tail);
    size_t at = (size_t)(tail % LOG_RING_BYTES);
    size_t first = size_min(len, LOG_RING_BYTES - at);
    assert(len <= LOG_RING_BYTES);
    write_all(log, ring->bytes + at, first);
    write_all(log, ring->bytes, len - first);
    atomic_store_explicit(&ring->tail, head, memory_order_release);
    return true;
}

static bool drain_rings(struct log *log)
{
    bool any = false;
    for (struct log_ring *ring = atomic_load_explicit(&log->rings, memory_order_acquire); ring;
         ring = ring->next) {
        any |= drain_ring(log, ring);
    }
    return any;
}

/* Waits until woken (is_idle) or for the gathering time; true when the log closes. */
static bool wait_for_lines(struct log *log, bool is_idle)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&log->wake_lock);
    while (is_idle && !log->is_closing && atomic_load(&log->is_asleep)) {
        (void)pthread_cond_wait(&log->wake_cond, &log->wake_lock);
    }
    while (!is_idle && !log->is_closing && !log->is_nudged &&
           pthread_cond_timedwait(&log->wake_cond, &log->wake_lock, &until) == 0) {
        /* woken early: go on gathering */
    }
    log->is_nudged = false;
    bool is_closing = log->is_closing;
    (void)pthread_mutex_unlock(&log->wake_lock);
    return is_closing;
}

static void *log_main(void *arg)
{
    struct log *log = arg;
    bool is_closing = false;
    while (!is_closing) {
        if (drain_rings(log)) {
            is_closing = wait_for_lines(log, false);
            continue;
        }
        /* Store, then look again; a producer publishes, then looks at is_asleep. Both are
         * sequentially consistent, so one of the two sees the other. */
        atomic_store(&log->is_asleep, true);
        if (!drain_rings(log)) {
            is_closing = wait_for_lines(log, true);
        }
        atomic_store(&log->is_asleep, false);
        if (!is_closing) {
            is_closing = wait_for_lines(log, false); /* let a piece gather before it is written */
        }
    }
    (void)drain_rings(log);
    return NULL;
}

static COLD void wake_slow(struct log *log)
{
    if (atomic_exchange(&log->is_asleep, false)) {
        (void)pthread_mutex_lock(&log->wake_lock);
        (void)pthread_cond_signal(&log->wake_cond);
        (void)pthread_mutex_unlock(&log->wake_lock);
    }
}

/* The ring is half full by what the producer last saw: look again, and nudge the thread once for
 * what it has not read. One system call for some hundred lines, at high rates only. */
static COLD void nudge_slow(struct log_ring *ring, uint64_t head)
{
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - ring->tail_seen > NUDGE_BYTES && ring->tail_nudged != ring->tail_seen + 1) {
        ring->tail_nudged = ring->tail_seen + 1;
        (void)pthread_mutex_lock(&ring->log->wake_lock);
        ring->log->is_nudged = true;
        (void)pthread_cond_signal(&ring->log->wake_cond);
        (void)pthread_mutex_unlock(&ring->log->wake_lock);
    }
}

/* --- life --- */

static void ring_free(struct log_ring *ring)
{
    if (ring) {
        (void)munmap(ring->bytes, LOG_RING_BYTES + LOG_LINE_MAX_BYTES);
        free(ring);
    }
}

struct log_ring *log_ring_new(struct log *log)
{
    struct log_ring *ring = aligned_alloc(64, sizeof(*ring));
    if (!ring) {
        return NULL;
    }
    memset(ring, 0, sizeof(*ring));
    ring->log = log;
    ring->stamp_s = INT64_MIN;
    const size_t size = LOG_RING_BYTES + LOG_LINE_MAX_BYTES;
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS;
    /* cppcheck-suppress invalidFunctionArg ; -1 is right: no file stands behind it */
    ring->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (ring->bytes == MAP_FAILED) {
        free(ring);
        return NULL;
    }
    ring->next = atomic_load_explicit(&log->rings, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&log->rings, &ring->next, ring,
                                                  memory_order_release, memory_order_relaxed)) {
        /* another thread was first: its ring is ours to follow */
    }
    return ring;
}

/* The thread has ended, or never began. */
static void log_destroy(struct log *log)
{
    struct log_ring *ring = atomic_load_explicit(&log->rings, memory_order_acquire);
    while (ring) {
        struct log_ring *next = ring->next;
        ring_free(ring);
        ring = next;
    }
    (void)pthread_cond_destroy(&log->wake_cond);
    (void)pthread_mutex_destroy(&log->wake_lock);
    (void)pthread_mutex_destroy(&log->event_lock);
    free(log);
}

enum err log_new(int fd, enum log_level level, struct log **out_log)
{
    struct log *log = calloc(1, sizeof(*log));
    if (!log) {
        return E_NOMEM;
    }
    log->fd = fd;
    atomic_init(&log->level, (int)level);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->wake_cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&log->wake_lock, NULL);
    (void)pthread_mutex_init(&log->event_lock, NULL);
    log->event_ring = log_ring_new(log);
    if (!log->event_ring || pthread_create(&log->thread, NULL, log_main, log) != 0) {
        log_destroy(log);
        return E_NOMEM;
    }
    *out_log = log;
    return OK;
}

void log_free(struct log *log)
{
    if (!log) {
        return;
    }
    (void)pthread_mutex_lock(&log->wake_lock);
    log->is_closing = true;
    (void)pthread_cond_signal(&log->wake_cond);
    (void)pthread_mutex_unlock(&log->wake_lock);
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WAIT_S;
    if (pthread_timedjoin_np(log->thread, NULL, &until) == 0) {
        log_destroy(log);
    } else {
        /* Blocked in write(): whoever reads our output stands still. The process ends anyway, and
         * the thread still uses the rings. */
        (void)pthread_detach(log->thread);
    }
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

/* --- building a line --- */

/* Bytes that a value may still take. */
static size_t line_left(const struct log_ring *ring)
{
    size_t cap = LOG_LINE_MAX_BYTES - LINE_TAIL_BYTES;
    return ring->line_len < cap ? cap - ring->line_len : 0; /* a cut value's quote is beyond */
}

static inline void put(struct log_ring *ring, struct slice bytes)
{
    assert(bytes.len <= line_left(ring));
    (void)slice_put(ring->line + ring->line_len, bytes);
    ring->line_len += bytes.len;
}

/* Some byte of the eight is a control character, a quote, a backslash or not ASCII. */
static bool has_special(uint64_t v)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = ones * 0x80;
    uint64_t quote = v ^ (ones * '"');
    uint64_t backslash = v ^ (ones * '\\');
    return ((v | (v - ones * 0x20) | ((quote - ones) & ~quote) |
             ((backslash - ones) & ~backslash)) &
            high) != 0;
}

/* One character of the value that is not plain; false when it does not fit. Returns in *used how
 * many bytes of the input it was. */
static COLD bool put_special_slow(struct log_ring *ring, const char *p, size_t left, size_t *used)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t c = (uint8_t)*p;
    char text[8];
    size_t len = 0;
    *used = 1;
    if (c == '"' || c == '\\') {
        text[len++] = '\\';
        text[len++] = (char)c;
    } else if (c < 0x20) {
        const char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        len = sizeof(escape);
        memcpy(text, escape, len);
    } else {
        size_t n = text_utf8_length((const uint8_t *)p, left);
        len = n ? n : 3;
        memcpy(text, n ? p : "\xEF\xBF\xBD", len);
        *used = n ? n : 1;
    }
    if (len > line_left(ring)) {
        return false;
    }
    put(ring, slice_of(text, len));
    return true;
}

static bool is_plain(char c)
{
    return (uint8_t)c >= 0x20 && (uint8_t)c < 0x80 && c != '"' && c != '\\';
}

#if defined(__SSE2__)
/* Bit i: byte i of the sixteen is a control character, a quote, a backslash or not ASCII. */
static inline unsigned specials_of(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1F)), x);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    __m128i any = _mm_or_si128(_mm_or_si128(control, x), _mm_or_si128(quote, backslash));
    return (unsigned)_mm_movemask_epi8(any);
}

/* Of a value of at least sixteen bytes: the last ones are looked at again with those before. */
static inline size_t put_plain_wide(char *to, const char *from, size_t len)
{
    for (size_t i = 0;;) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        unsigned specials = specials_of(x);
        _mm_storeu_si128((__m128i *)(void *)(to + i), x);
        if (specials) {
            return i + (unsigned)__builtin_ctz(specials);
        }
        if (i + 16 == len) {
            return len;
        }
        i = size_min(i + 16, len - 16);
    }
}
#endif

/* Copies what needs no escape; returns how many bytes, stopping at the first special one or at the
 * end of the line. */
static HOT size_t put_plain(struct log_ring *ring, struct slice value)
{
    char *to = ring->line + ring->line_len;
    size_t max = size_min(value.len, line_left(ring));
    size_t i = 0;
#if defined(__SSE2__)
    if (max >= 16) {
        i = put_plain_wide(to, value.ptr, max);
        ring->line_len += i;
        return i;
    }
#endif
    while (max - i >= 8) {
        uint64_t v;
        memcpy(&v, value.ptr + i, 8);
        if (has_special(v)) {
            break;
        }
        memcpy(to + i, &v, 8);
        i += 8;
    }
    while (i < max && is_plain(value.ptr[i])) {
        to[i] = value.ptr[i];
        i++;
    }
    ring->line_len += i;
    return i;
}

/* Escapes the value; what does not fit is cut at a character. */
static HOT void put_escaped(struct log_ring *ring, struct slice value)
{
    size_t used = put_plain(ring, value);
    while (used < value.len) {
        value = slice_from(value, used);
        if (is_plain(value.ptr[0]) || !put_special_slow(ring, value.ptr, value.len, &used)) {
            return; /* the line is full */
        }
        value = slice_from(value, used);
        used = put_plain(ring, value);
    }
}

/* The member's beginning, and room for at least value_bytes; false leaves the whole member out. */
static inline bool put_key(struct log_ring *ring, struct slice key, size_t value_bytes)
{
    if (!ring || !ring->line || key.len + value_bytes > line_left(ring)) {
        return false;
    }
    put(ring, key);
    return true;
}

/* {"ts":"...  with the date text made once a second. */
static void put_stamp(struct log_ring *ring)
{
    int64_t now = clock_unix_ns();
    int64_t second = now / NS_PER_S;
    if (second != ring->stamp_s) {
        (void)clock_rfc3339(second * NS_PER_S, ring->stamp);
        ring->stamp_s = second;
    }
    int ms = (int)(now % NS_PER_S / NS_PER_MS);
    ring->stamp[20] = (char)('0' + ms / 100);
    ring->stamp[21] = (char)('0' + ms / 10 % 10);
    ring->stamp[22] = (char)('0' + ms % 10);
    put(ring, SLICE("{\"ts\":\""));
    put(ring, slice_of(ring->stamp, CLOCK_RFC3339_BYTES));
}

bool log_begin(struct log_ring *ring, enum log_level level, const char *message)
{
    if (!ring || (int)level < atomic_load_explicit(&ring->log->level, memory_order_relaxed)) {
        return false;
    }
    assert(!ring->line);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (LOG_RING_BYTES - (head - ring->tail_seen) < LOG_LINE_MAX_BYTES) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (LOG_RING_BYTES - (head - ring->tail_seen) < LOG_LINE_MAX_BYTES) {
            int64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
            atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
            return false;
        }
    }
    ring->line = ring->bytes + head % LOG_RING_BYTES;
    ring->line_len = 0;
    put_stamp(ring);
    put(ring, level_members[level]);
    put_escaped(ring, slice_str(message));
    ring->line[ring->line_len++] = '"'; /* from LINE_TAIL_BYTES when the message was cut */
    return true;
}

void log_put_str(struct log_ring *ring, struct slice key, struct slice value)
{
    if (put_key(ring, key, 1)) {
        put_escaped(ring, value);
        ring->line[ring->line_len++] = '"'; /* from LINE_TAIL_BYTES when the value was cut */
    }
}

void log_put_i64(struct log_ring *ring, struct slice key, int64_t value)
{
    if (put_key(ring, key, TEXT_I64_MAX_BYTES)) {
        char *at = ring->line + ring->line_len;
        ring->line_len += (size_t)(text_put_i64(at, value) - at);
    }
}

void log_put_bool(struct log_ring *ring, struct slice key, bool value)
{
    if (put_key(ring, key, 5)) {
        put(ring, value ? SLICE("true") : SLICE("false"));
    }
}

void log_put_usd(struct log_ring *ring, struct slice key, int64_t nusd)
{
    if (put_key(ring, key, MONEY_TEXT_MAX_BYTES)) {
        ring->line_len += money_format(nusd, ring->line + ring->line_len);
    }
}

void log_end(struct log_ring *ring)
{
    if (!ring || !ring->line) {
        return;
    }
    ring->line[ring->line_len++] = '}';
    ring->line[ring->line_len++] = '\n';
    assert(ring->line_len <= LOG_LINE_MAX_BYTES);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t end = (size_t)(head % LOG_RING_BYTES) + ring->line_len;
    if (end > LOG_RING_BYTES) {
        memcpy(ring->bytes, ring->bytes + LOG_RING_BYTES, end - LOG_RING_BYTES);
    }
    head += ring->line_len;
    atomic_store(&ring->head, head);
    ring->line = NULL;
    if (atomic_load(&ring->log->is_asleep)) {
        wake_slow(ring->log);
    } else if (head - ring->tail_seen > NUDGE_BYTES) {
        nudge_slow(ring, head);
    }
}

void log_event(struct log *log, enum log_level level, const char *format, ...)
{
    char text[EVENT_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)pthread_mutex_lock(&log->event_lock);
    if (log_begin(log->event_ring, level, text)) {
        log_end(log->event_ring);
    }
    (void)pthread_mutex_unlock(&log->event_lock);
}

int64_t log_dropped(const struct log *log)
{
    int64_t sum = atomic_load_explicit(&log->lost, memory_order_relaxed);
    for (struct log_ring *ring = atomic_load_explicit(&log->rings, memory_order_acquire); ring;
         ring = ring->next) {
        sum += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    }
    return sum;
}
