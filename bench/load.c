/* bench/load.c -- the load generator: fixed request bytes, keep-alive, closed loop.
 *
 *   load --port P --request FILE [--connections C] [--seconds S] [--requests N] [--stagger MS]
 *        [--status 200] [--hold answered|events|blocked]
 *
 * Each connection sends the request, reads the whole answer, checks its status and that it is as
 * long as the first one (an event stream: has as many events), and sends again, until the time or
 * the number of requests is up. One JSON line is printed at the end.
 *
 * With --hold every connection does one request and then stays: "answered" after the whole answer,
 * "events" while the stream goes on (read and dropped), "blocked" without reading after the head.
 * {"holding": C} is printed when all are there, and the end of standard input ends it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    READ_BYTES = 262144,
    HEAD_MAX_BYTES = 16384,
    SUB = 128, /* histogram cells for each power of two: 0.8 % */
    CELLS = 64 * SUB,
    STALL_NS = 35000000,
};

enum hold { HOLD_NO, HOLD_ANSWERED, HOLD_EVENTS, HOLD_BLOCKED };

struct options {
    uint16_t port;
    const char *request_file;
    int connections;
    double seconds;
    uint64_t requests;
    int64_t stagger_ns;
    int status;
    enum hold hold;
};

struct conn {
    int fd;
    bool started;
    bool in_body;
    bool chunked;
    bool held; /* counted in holding */
    size_t out_at;
    size_t body_left;
    size_t body_len; /* bytes, or events of a chunked answer: a proxy may cut chunks anew */
    int64_t sent_ns;
    int64_t start_ns;
    size_t head_len;
    char tail[8]; /* the last bytes of a chunked answer */
    char head[HEAD_MAX_BYTES];
};

struct load {
    struct options o;
    char *request;
    size_t request_len;
    int epoll;
    struct conn *conns;
    int64_t begin_ns;
    int64_t end_ns;
    uint64_t sent;
    uint64_t answers;
    uint64_t events;
    uint64_t bad_status;
    uint64_t bad_length;
    uint64_t broken;
    uint64_t stalls;
    int64_t max_ns;
    size_t length;
    int holding;
    int last_status;
    bool over;
    uint64_t cells[CELLS];
    char in[READ_BYTES];
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t cell_of(int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 1;
    int top = 63 - __builtin_clzll(v);
    if (top < 7) {
        return (size_t)v;
    }
    return (size_t)(top - 6) * SUB + (size_t)((v >> (top - 7)) & (SUB - 1));
}

static double value_of(size_t cell)
{
    if (cell < SUB) {
        return (double)cell;
    }
    size_t top = cell / SUB + 6;
    return (double)((uint64_t)(SUB + cell % SUB) << (top - 7));
}

static double percentile(const struct load *l, double share)
{
    uint64_t want = (uint64_t)((double)l->answers * share);
    uint64_t seen = 0;
    for (size_t i = 0; i < CELLS; i++) {
        seen += l->cells[i];
        if (seen > want) {
            return value_of(i);
        }
    }
    return 0;
}

static bool is_over(const struct load *l)
{
    return l->over || (l->o.requests > 0 && l->sent >= l->o.requests);
}

static void fail_conn(struct load *l, struct conn *c)
{
    if (!l->over) {
        l->broken++;
    }
    (void)close(c->fd);
    c->fd = -1;
}

static void push(struct load *l, struct conn *c)
{
    while (c->out_at < l->request_len) {
        ssize_t n = send(c->fd, l->request + c->out_at, l->request_len - c->out_at, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN) {
                fail_conn(l, c);
            }
            return;
        }
        c->out_at += (size_t)n;
    }
}

static void begin(struct load *l, struct conn *c, int64_t now)
{
    l->sent++;
    c->started = true;
    c->in_body = false;
    c->head_len = 0;
    c->body_len = 0;
    c->out_at = 0;
    c->sent_ns = now;
    push(l, c);
}

static void hold_one(struct load *l, struct conn *c)
{
    if (!c->held) {
        c->held = true;
        if (++l->holding == l->o.connections) {
            (void)printf("{\"holding\": %d, \"bad_status\": %" PRIu64 "}\n", l->holding,
                         l->bad_status);
            (void)fflush(stdout);
        }
    }
}

static void answered(struct load *l, struct conn *c, int64_t now)
{
    int64_t took = now - c->sent_ns;
    l->answers++;
    l->cells[cell_of(took)]++;
    l->max_ns = took > l->max_ns ? took : l->max_ns;
    l->stalls += took > STALL_NS ? 1 : 0;
    if (l->length == 0) {
        l->length = c->body_len;
    }
    l->bad_length += c->body_len != l->length ? 1 : 0;
    c->started = false;
    if (l->o.hold == HOLD_NO && !is_over(l)) {
        begin(l, c, now);
    } else if (l->o.hold == HOLD_ANSWERED) {
        hold_one(l, c);
    } else if (l->o.hold == HOLD_EVENTS) {
        begin(l, c, now); /* a stream that ended early is started again */
    }
}

/* Status, length or chunks; lower- and upper-case spellings both occur. */
static bool read_head(struct load *l, struct conn *c)
{
    c->head[c->head_len] = '\0';
    int status = c->head_len > 12 ? (int)strtol(c->head + 9, NULL, 10) : 0;
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    l->last_status = status;
    l->bad_status += status != l->o.status ? 1 : 0;
    c->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
    c->body_left = length != NULL ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    c->in_body = true;
    memset(c->tail, 0, sizeof(c->tail));
    return length != NULL || c->chunked;
}

static size_t count_in(const char *p, size_t n)
{
    size_t found = 0;
    const char *end = p + n;
    while ((p = memmem(p, (size_t)(end - p), "data:", 5)) != NULL) {
        found++;
        p += 5;
    }
    return found;
}

/* Also those that two reads have cut in two: tail still holds the bytes before p. */
static size_t count_events(const struct conn *c, const char *p, size_t n)
{
    char seam[8];
    size_t more = n < 4 ? n : 4;
    memcpy(seam, c->tail + 4, 4);
    memcpy(seam + 4, p, more);
    return count_in(seam, 4 + more) + count_in(p, n);
}

static bool chunked_end(struct conn *c, const char *p, size_t n)
{
    static const char last[] = "\r\n0\r\n\r\n";
    char joined[16];
    if (n >= 8) {
        memcpy(c->tail, p + n - 8, 8);
    } else {
        memcpy(joined, c->tail, 8);
        memcpy(joined + 8, p, n);
        memcpy(c->tail, joined + n, 8);
    }
    return memcmp(c->tail + 1, last, 7) == 0;
}

/* Takes n bytes of the answer; only one answer is ever outstanding. */
static void take(struct load *l, struct conn *c, const char *p, size_t n, int64_t now)
{
    if (!c->in_body) {
        size_t room = HEAD_MAX_BYTES - 1 - c->head_len;
        size_t old = c->head_len;
        size_t add = n < room ? n : room;
        memcpy(c->head + old, p, add);
        c->head_len += add;
        const char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
        if (end == NULL) {
            if (c->head_len == HEAD_MAX_BYTES - 1) {
                fail_conn(l, c);
            }
            return;
        }
        size_t used = (size_t)(end + 4 - c->head) - old;
        c->head_len = (size_t)(end + 2 - c->head);
        if (!read_head(l, c)) {
            fail_conn(l, c);
            return;
        }
        p += used;
        n -= used;
    }
    if (l->o.hold == HOLD_EVENTS && n > 0) {
        hold_one(l, c);
    }
    if (c->chunked) {
        size_t events = count_events(c, p, n);
        c->body_len += events;
        l->events += events;
        if (n > 0 && chunked_end(c, p, n)) {
            answered(l, c, now);
        }
        return;
    }
    c->body_len += n;
    c->body_left -= n < c->body_left ? n : c->body_left;
    if (c->body_left == 0) {
        answered(l, c, now);
    }
}

static void on_event(struct load *l, struct conn *c, uint32_t events)
{
    if (c->fd < 0) {
        return;
    }
    if ((events & EPOLLOUT) != 0 && c->started && c->out_at < l->request_len) {
        push(l, c);
    }
    while (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0) {
        if (l->o.hold == HOLD_BLOCKED && c->started) {
            hold_one(l, c); /* what came is left where it is */
            return;
        }
        ssize_t n = recv(c->fd, l->in, READ_BYTES, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            fail_conn(l, c);
            return;
        }
        if (n < 0) {
            return;
        }
        take(l, c, l->in, (size_t)n, now_ns());
        if (n < READ_BYTES && (events & EPOLLRDHUP) == 0) {
            return;
        }
    }
}

static void connect_one(struct load *l, struct conn *c)
{
    int on = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(l->o.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->o.hold == HOLD_BLOCKED) {
        int small = 4096;
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) != 0) {
        (void)fprintf(stderr, "load: connect: %s\n", strerror(errno));
        exit(1);
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        exit(1);
    }
}

static enum hold parse_hold(const char *v)
{
    return strcmp(v, "answered") == 0  ? HOLD_ANSWERED
           : strcmp(v, "events") == 0  ? HOLD_EVENTS
           : strcmp(v, "blocked") == 0 ? HOLD_BLOCKED
                                       : HOLD_NO;
}

static struct options parse_options(int argc, char **argv)
{
    struct options o = {.connections = 1, .status = 200};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *k = argv[i];
        const char *v = argv[i + 1];
        if (strcmp(k, "--port") == 0) {
            o.port = (uint16_t)strtoul(v, NULL, 10);
        } else if (strcmp(k, "--request") == 0) {
            o.request_file = v;
        } else if (strcmp(k, "--connections") == 0) {
            o.connections = (int)strtol(v, NULL, 10);
        } else if (strcmp(k, "--seconds") == 0) {
            o.seconds = strtod(v, NULL);
        } else if (strcmp(k, "--requests") == 0) {
            o.requests = strtoull(v, NULL, 10);
        } else if (strcmp(k, "--stagger") == 0) {
            o.stagger_ns = strtoll(v, NULL, 10) * 1000000;
        } else if (strcmp(k, "--status") == 0) {
            o.status = (int)strtol(v, NULL, 10);
        } else if (strcmp(k, "--hold") == 0) {
            o.hold = parse_hold(v);
        } else {
            (void)fprintf(stderr, "load: unknown option %s\n", k);
            exit(2);
        }
    }
    if (o.port == 0 || o.request_file == NULL || o.connections < 1) {
        (void)fputs("load: --port and --request are needed\n", stderr);
        exit(2);
    }
    return o;
}

static void read_request(struct load *l)
{
    FILE *f = fopen(l->o.request_file, "rb");
    l->request = malloc(1 << 20);
    if (f == NULL || l->request == NULL) {
        perror(l->o.request_file);
        exit(1);
    }
    l->request_len = fread(l->request, 1, 1 << 20, f);
    (void)fclose(f);
}

static void open_all(struct load *l)
{
    l->conns = calloc((size_t)l->o.connections, sizeof(*l->conns));
    if (l->conns == NULL) {
        exit(1);
    }
    for (int i = 0; i < l->o.connections; i++) {
        connect_one(l, &l->conns[i]);
        l->conns[i].start_ns = l->o.stagger_ns * i / l->o.connections;
    }
    l->begin_ns = now_ns();
    l->end_ns = l->o.seconds > 0 ? l->begin_ns + (int64_t)(l->o.seconds * 1e9) : INT64_MAX;
}

/* Starts those whose time has come; returns the milliseconds to the next, -1 when all run. */
static int start_due(struct load *l, int *next, int64_t now)
{
    while (*next < l->o.connections && l->begin_ns + l->conns[*next].start_ns <= now &&
           !is_over(l)) {
        begin(l, &l->conns[(*next)++], now);
    }
    if (*next == l->o.connections || is_over(l)) {
        return -1;
    }
    return (int)((l->begin_ns + l->conns[*next].start_ns - now) / 1000000) + 1;
}

static bool is_running(const struct load *l)
{
    if (l->o.hold != HOLD_NO) {
        return !l->over && l->broken < (uint64_t)l->o.connections;
    }
    if (l->over) {
        return false;
    }
    uint64_t lost = l->broken < l->sent ? l->broken : l->sent;
    return !(is_over(l) && l->answers + lost >= l->sent) && l->broken < (uint64_t)l->o.connections;
}

static void print_result(const struct load *l, double seconds)
{
    (void)printf(
        "{\"answers\": %" PRIu64 ", \"seconds\": %.6f, \"per_second\": %.1f, \"events\": %" PRIu64
        ", \"bad_status\": %" PRIu64 ", \"last_status\": %d, \"bad_length\": %" PRIu64
        ", \"broken\": %" PRIu64 ", \"body_bytes\": %zu, \"p50_us\": %.2f, \"p90_us\": %.2f, "
        "\"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f, \"stalls_35ms\": %" PRIu64 "}\n",
        l->answers, seconds, (double)l->answers / seconds, l->events, l->bad_status, l->last_status,
        l->bad_length, l->broken, l->length, percentile(l, 0.5) / 1e3, percentile(l, 0.9) / 1e3,
        percentile(l, 0.99) / 1e3, percentile(l, 0.999) / 1e3, (double)l->max_ns / 1e3, l->stalls);
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS];
    int next = 0;
    while (is_running(l)) {
        int64_t now = now_ns();
        if (now >= l->end_ns) {
            l->over = true;
            break;
        }
        int wait = start_due(l, &next, now);
        int64_t left = (l->end_ns - now) / 1000000 + 1;
        wait = wait < 0 || wait > left ? (left > 1000 ? 1000 : (int)left) : wait;
        int n = epoll_wait(l->epoll, events, EVENTS, wait);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                l->over = true; /* standard input has ended */
            } else {
                on_event(l, events[i].data.ptr, events[i].events);
            }
        }
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    struct load *l = &load;
    struct rlimit files;
    l->o = parse_options(argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    read_request(l);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->o.hold != HOLD_NO) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLHUP, .data.ptr = NULL};
        (void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, 0, &ev);
    }
    open_all(l);
    run(l);
    print_result(l, (double)(now_ns() - l->begin_ns) / 1e9);
    return 0;
}
