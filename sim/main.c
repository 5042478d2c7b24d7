/* sim/main.c -- provider-sim: a provider that answers from templates, on purpose well or badly. */
#define _GNU_SOURCE
#include "server.h"
#include "store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, BACKLOG = 4096 };

struct options {
    const char *host;
    uint16_t port;
    int threads;
    const char *cert;
    const char *key;
    const char *script;
    const char *fixtures;
    const char *api_key;
    const char *aws_keys;
    const char *oauth_client;
    const char *oauth_key;
    int64_t oauth_life_s;
    bool only_told_tools;
    bool control;
    bool die_with_parent;
};

struct thread {
    pthread_t id;
    const struct sim_conf *conf;
    SSL_CTX *tls;
    int listener;
    uint64_t first_id;
};

static _Noreturn void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "provider-sim: %s: %s\n", what, why);
    exit(2);
}

static _Noreturn void help(void)
{
    struct buf rows = {0};
    behaviour_help(&rows);
    (void)printf(
        "usage: provider-sim [--host 127.0.0.1] [--port 0] [--threads 1] [--tls CERT KEY]\n"
        "                    [--fixtures DIR] [--control] [--script FILE.json] [--api-key KEY]\n"
        "                    [--aws-keys ID:SECRET] [--oauth-client ID:SECRET] [--oauth-key PUBLIC.pem]\n"
        "                    [--oauth-life SECONDS] [--only-told-tools] [--die-with-parent]\n\n"
        "Speaks OpenAI's, Anthropic's, Gemini's, Azure's, Bedrock's and Ollama's wire on their own\n"
        "paths; sim/README.md lists them. With --control: POST /_sim/script (a JSON list),\n"
        "GET /_sim/requests[?since=N], GET /_sim/stats, POST /_sim/reset.\n\n"
        "Directives, in a model name (\"gpt-4o-mini;delay=200ms;tokens=50\"), on a line of the\n"
        "last user's text (\"sim:delay=200ms;tokens=50\") or in a script. With tools and without a\n"
        "directive the first tool is called; a tool's result is quoted. JSON values may hold\n"
        "semicolons (\"sim:tool=shell;args={\\\"command\\\":\\\"ls; pwd\\\"}\"):\n%.*s",
        (int)rows.len, rows.ptr);
    buf_free(&rows);
    exit(0);
}

static long number(const char *text, long max)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 0 || n > max) {
        fail(text, "is not a number in range");
    }
    return n;
}

static const char *argument(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        fail(argv[*i], "needs a value");
    }
    return argv[++*i];
}

static struct options parse_options(int argc, char **argv)
{
    struct options o = {.host = "127.0.0.1", .threads = 1};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--host") == 0) {
            o.host = argument(argc, argv, &i);
        } else if (strcmp(a, "--port") == 0) {
            o.port = (uint16_t)number(argument(argc, argv, &i), 65535);
        } else if (strcmp(a, "--threads") == 0) {
            o.threads = (int)number(argument(argc, argv, &i), THREADS_MAX);
        } else if (strcmp(a, "--tls") == 0) {
            o.cert = argument(argc, argv, &i);
            o.key = argument(argc, argv, &i);
        } else if (strcmp(a, "--script") == 0) {
            o.script = argument(argc, argv, &i);
        } else if (strcmp(a, "--fixtures") == 0) {
            o.fixtures = argument(argc, argv, &i);
        } else if (strcmp(a, "--api-key") == 0) {
            o.api_key = argument(argc, argv, &i);
        } else if (strcmp(a, "--aws-keys") == 0) {
            o.aws_keys = argument(argc, argv, &i);
        } else if (strcmp(a, "--oauth-client") == 0) {
            o.oauth_client = argument(argc, argv, &i);
        } else if (strcmp(a, "--oauth-key") == 0) {
            o.oauth_key = argument(argc, argv, &i);
        } else if (strcmp(a, "--oauth-life") == 0) {
            o.oauth_life_s = (int64_t)number(argument(argc, argv, &i), 86400);
        } else if (strcmp(a, "--only-told-tools") == 0) {
            o.only_told_tools = true;
        } else if (strcmp(a, "--control") == 0) {
            o.control = true;
        } else if (strcmp(a, "--die-with-parent") == 0) {
            o.die_with_parent = true;
        } else if (strcmp(a, "--help") == 0) {
            help();
        } else {
            fail(a, "unknown option; see --help");
        }
    }
    o.threads = o.threads > 0 ? o.threads : 1;
    return o;
}

/* The first listener may get its port from the kernel; the others then share it. */
static int open_listener(const struct options *o, uint16_t *port)
{
    int on = 1;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, o->host, &addr.sin_addr) != 1) {
        fail(o->host, "is not an IPv4 address");
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (o->threads > 1) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    }
    struct sockaddr *any = (struct sockaddr *)(void *)&addr;
    if (bind(fd, any, sizeof(addr)) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, any, &len) != 0) {
        fail("listen", strerror(errno));
    }
    *port = ntohs(addr.sin_port);
    return fd;
}

static SSL_CTX *open_tls(const struct options *o)
{
    if (o->cert == NULL) {
        return NULL;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1) {
        fail(o->cert, "cannot be used as certificate and key");
    }
    (void)SSL_CTX_set_mode(ctx,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static void load_script(struct control *control, const char *path)
{
    struct buf text = {0};
    struct buf why = {0};
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail(path, strerror(errno));
    }
    for (size_t n = 1; n > 0;) {
        buf_room(&text, 4096);
        n = fread(text.ptr + text.len, 1, 4096, f);
        text.len += n;
    }
    (void)fclose(f);
    if (!control_script(control, buf_view(&text), &why)) {
        buf_add(&why, "", 1);
        fail(path, why.ptr);
    }
    buf_free(&text);
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    server_run(t->conf, t->tls, t->listener, t->first_id);
    return NULL;
}

static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    struct options o = parse_options(argc, argv);
    static struct sim_conf conf;
    static struct thread threads[THREADS_MAX];
    if (o.die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    conf = (struct sim_conf){.fixtures = o.fixtures,
                             .api_key = o.api_key,
                             .aws_keys = o.aws_keys,
                             .oauth_client = o.oauth_client,
                             .oauth_key = o.oauth_key,
                             .oauth_life_s = o.oauth_life_s,
                             .only_told_tools = o.only_told_tools,
                             .created = (int64_t)time(NULL),
                             .store = store_new()};
    if (o.control || o.script != NULL) {
        conf.control = control_new();
    }
    if (o.script != NULL) {
        load_script(conf.control, o.script);
    }
    SSL_CTX *tls = open_tls(&o);
    uint16_t port = o.port;
    for (int i = 0; i < o.threads; i++) {
        threads[i] =
            (struct thread){0, &conf, tls, open_listener(&o, &port), (uint64_t)i << 28 | 1};
    }
    (void)printf("provider-sim listening on %s://%s:%u/v1\n", tls != NULL ? "https" : "http",
                 o.host, port);
    (void)fflush(stdout);
    for (int i = 1; i < o.threads; i++) {
        if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0) {
            fail("thread", "cannot be started");
        }
    }
    (void)thread_main(&threads[0]);
    return 0;
}
