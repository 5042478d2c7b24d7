#include "app/commands.h"

#include "admin/render.h"
#include "app/commands_inside.h"
#include "auth/auth.h"
#include "core/clock.h"
#include "core/money.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdarg.h>

enum { ARENA_MAX_BYTES = 64 << 20, WHY_BYTES = 512, SAME_NAMES_MAX = 5 };
enum { ID_COLUMN = ID_TEXT_BYTES + 2, NAME_COLUMN = 26, NUMBER_COLUMN = 12, TIME_COLUMN = 22 };

/* --- output ------------------------------------------------------------------------------------
 */

int command_fail(struct command *c, const char *format, ...)
{
    va_list args;
    (void)fputs("llm-gateway: ", c->errors);
    va_start(args, format);
    (void)vfprintf(c->errors, format, args);
    va_end(args);
    (void)fputc('\n', c->errors);
    return CLI_EXIT_FAILED;
}

struct text command_row(struct command *c)
{
    return text_growing(&c->row);
}

void command_row_end(struct command *c, const struct text *row)
{
    c->is_cut = c->is_cut || row->is_full;
    if (row->len) {
        (void)fwrite(row->ptr, 1, row->len, c->out);
    }
    arena_reset(&c->row);
}

/* Names come from whoever may create tenants: nothing that a terminal would obey. */
void command_cell(struct command *c, struct slice text, int width)
{
    int shown = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        uint8_t next = i + 1 < text.len ? (uint8_t)text.ptr[i + 1] : 0;
        bool is_control = byte < 0x20 || byte == 0x7f;
        if (byte == 0xC2 && next >= 0x80 && next < 0xA0) { /* U+0080 to U+009F */
            is_control = true;
            i++;
        }
        (void)fputc(is_control ? '?' : byte, c->out);
        shown += (byte & 0xC0) != 0x80 || is_control;
    }
    if (width) { /* the last of a line has none */
        (void)fprintf(c->out, "%*s", shown < width ? width - shown : 1, "");
    }
}

void command_usd_cell(struct command *c, int64_t nusd, int width)
{
    char text[MONEY_TEXT_MAX_BYTES] = "-";
    size_t len = nusd < 0 ? 1 : money_format(nusd, text);
    (void)fprintf(c->out, "%*.*s", width, (int)len, text);
}

void command_number_cell(struct command *c, int64_t value, int width)
{
    if (value < 0) {
        (void)fprintf(c->out, "%*s", width, "-");
    } else {
        (void)fprintf(c->out, "%*lld", width, (long long)value);
    }
}

static void print_id(struct command *c, struct id id)
{
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    (void)fwrite(text, 1, sizeof(text), c->out);
}

static void id_cell(struct command *c, struct id id)
{
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    command_cell(c, slice_of(text, sizeof(text)), ID_COLUMN);
}

/* "2026-11-23 15:24:46Z"; other for 0. */
static void time_cell(struct command *c, int64_t unix_ns, const char *other)
{
    char text[CLOCK_RFC3339_BYTES + 1];
    if (unix_ns == 0) {
        command_cell(c, slice_str(other), TIME_COLUMN);
        return;
    }
    (void)clock_rfc3339(unix_ns, text);
    (void)fprintf(c->out, "%.10s %.8sZ%*s", text, text + 11, TIME_COLUMN - 20, "");
}

/* --- shared steps ------------------------------------------------------------------------------
 */

static int store_fail(struct command *c, const char *what)
{
    const char *why = store_db_error(c->db);
    return command_fail(c, "%s: %s", what, why[0] ? why : "the database refused");
}

static struct slice id_text(struct command *c, struct id id)
{
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    return arena_dup(&c->arena, slice_of(text, sizeof(text)));
}

static struct store_audit audit_of(struct command *c, const char *action, struct id subject,
                                   struct slice detail)
{
    return (struct store_audit){.actor = SLICE("cli"),
                                .action = slice_str(action),
                                .subject = id_text(c, subject),
                                .detail = detail.len ? detail : SLICE("{}"),
                                .at_unix_ns = clock_unix_ns()};
}

/* --- which tenant is meant --- */

struct by_name {
    struct command *c;
    struct slice name;
    int64_t in_page;
    struct id last;
    size_t count;
    struct id same[SAME_NAMES_MAX];
};

static void match_name(void *ctx, const struct store_tenant *t)
{
    struct by_name *b = ctx;
    b->in_page++;
    b->last = t->id;
    if (slice_eq(t->name, b->name)) {
        if (b->count < SAME_NAMES_MAX) {
            b->same[b->count] = t->id;
        }
        b->count++;
    }
}

static void complain_same(struct command *c, const struct by_name *b, const char *name)
{
    (void)command_fail(c, "%zu tenants are called \"%s\"; give an id:", b->count, name);
    for (size_t i = 0; i < b->count && i < SAME_NAMES_MAX; i++) {
        (void)fprintf(c->errors, "  %.*s\n", SLICE_ARG(id_text(c, b->same[i])));
    }
}

/* By id, or by a name that one tenant has. Not OK: it has been said why. */
static enum err find_tenant(struct command *c, const char *which, struct store_tenant *out)
{
    struct by_name b = {.c = c, .name = slice_str(which)};
    struct id id;
    enum err e = E_NOT_FOUND;
    if (id_parse(b.name, &id)) {
        e = store_tenant_get(c->db, &c->arena, id, out);
    }
    if (e != E_NOT_FOUND) {
        if (e != OK) {
            (void)store_fail(c, "reading the tenant");
        }
        return e;
    }
    do {
        b.in_page = 0;
        e = store_tenant_list(c->db, b.last, STORE_PAGE_MAX, match_name, &b);
    } while (e == OK && b.in_page == STORE_PAGE_MAX);
    if (e == OK && b.count == 1) {
        e = store_tenant_get(c->db, &c->arena, b.same[0], out);
    }
    if (e != OK) {
        (void)store_fail(c, "reading the tenants");
        return e;
    }
    if (b.count > 1) {
        complain_same(c, &b, which);
        return E_CONFLICT;
    }
    if (b.count == 0) {
        (void)command_fail(c, "no tenant has the id or name \"%s\"; see `llm-gateway tenant list`",
                           which);
        return E_NOT_FOUND;
    }
    return OK;
}

/* The object without its closing brace, so that a key may follow. */
static void print_open_object(struct command *c, struct text *object)
{
    assert(object->len && object->ptr[object->len - 1] == '}');
    object->len--;
    command_row_end(c, object);
}

/* The key goes to out by itself, so that no buffer of ours keeps it. */
static void print_key_json(struct command *c, const char *key_text)
{
    (void)fputs(",\"api_key\":\"", c->out);
    (void)fwrite(key_text, 1, AUTH_KEY_BYTES, c->out);
    (void)fputs("\"}\n", c->out);
}

static void print_key_text(struct command *c, const char *key_text)
{
    (void)fputs("API key:    ", c->out);
    (void)fwrite(key_text, 1, AUTH_KEY_BYTES, c->out);
    (void)fputs("\n\nThe key is shown this once and not stored; keep it safe.\n", c->out);
}

/* --- tenant ------------------------------------------------------------------------------------
 */

static struct slice models_json(struct command *c)
{
    struct text out = text_growing(&c->arena);
    if (c->cmd->model_count == 0) {
        return SLICE_NONE;
    }
    TEXT_ADD(&out, "[");
    for (size_t i = 0; i < c->cmd->model_count; i++) {
        text_add(&out, i ? SLICE(",") : SLICE_NONE);
        text_add_json_string(&out, slice_str(c->cmd->models[i]));
    }
    TEXT_ADD(&out, "]");
    assert(!out.is_full);
    return text_slice(&out);
}

static struct store_policy policy_of(struct command *c)
{
    struct store_policy p = c->cmd->policy;
    struct store_policy initial = default_policy(c->conf);
    if (!c->cmd->has_rate_limit) {
        p.rate_per_min = initial.rate_per_min;
    }
    p.audit_level = initial.audit_level;
    p.allowed_models = models_json(c);
    return p;
}

static void show_new_tenant(struct command *c, const struct store_tenant *t,
                            const struct store_key *key, const char *key_text)
{
    if (c->cmd->is_json) {
        struct text object = command_row(c);
        render_tenant(&object, t);
        object.len--;
        add_id(&object, "key_id", key->id);
        TEXT_ADD(&object, "}");
        print_open_object(c, &object);
        print_key_json(c, key_text);
        return;
    }
    (void)fputs("Tenant:     ", c->out);
    command_cell(c, t->name, 0);
    (void)fputs("\nTenant id:  ", c->out);
    print_id(c, t->id);
    (void)fputs("\nKey id:     ", c->out);
    print_id(c, key->id);
    (void)fputs("\nRate limit: ", c->out);
    if (t->policy.rate_per_min < 0) {
        (void)fputs("none\n", c->out);
    } else {
        (void)fprintf(c->out, "%lld requests a minute\n", (long long)t->policy.rate_per_min);
    }
    if (t->policy.budget_nusd[BUDGET_MONTH] >= 0) {
        (void)fputs("Budget:     ", c->out);
        command_usd_cell(c, t->policy.budget_nusd[BUDGET_MONTH], 0);
        (void)fputs(" USD a month\n", c->out);
    }
    print_key_text(c, key_text);
}

static int create_tenant(struct command *c)
{
    struct store_tenant t = {.id = id_random(),
                             .name = slice_trim(slice_str(c->cmd->operand)),
                             .policy = policy_of(c),
                             .is_active = true,
                             .created_unix_ns = clock_unix_ns()};
    struct store_tenant parent = {0};
    struct store_key key;
    char key_text[AUTH_KEY_BYTES + 1];
    if (c->cmd->parent && find_tenant(c, c->cmd->parent, &parent) != OK) {
        return CLI_EXIT_FAILED;
    }
    t.parent = parent.id;
    struct text detail = text_growing(&c->arena);
    render_tenant(&detail, &t);
    struct store_audit audit = audit_of(c, "tenant.create", t.id, text_slice(&detail));
    make_key(&c->arena, t.id, &key, key_text);
    int status = CLI_EXIT_DONE;
    if (store_tenant_insert(c->db, &t, &key, &audit) == OK) {
        show_new_tenant(c, &t, &key, key_text);
    } else {
        status = store_fail(c, "the tenant was not created");
    }
    secret_wipe(key_text, sizeof(key_text));
    return status;
}

struct page {
    struct command *c;
    int64_t in_page;
    struct id last;
};

static struct text begin_object(struct command *c)
{
    struct text row = command_row(c);
    if (c->rows) {
        TEXT_ADD(&row, ",\n");
    }
    return row;
}

static void show_tenant(void *ctx, const struct store_tenant *t)
{
    struct page *page = ctx;
    struct command *c = page->c;
    page->in_page++;
    page->last = t->id;
    if (c->cmd->is_json) {
        struct text row = begin_object(c);
        render_tenant(&row, t);
        command_row_end(c, &row);
    } else {
        if (c->rows == 0) {
            command_cell(c, SLICE("TENANT ID"), ID_COLUMN);
            command_cell(c, SLICE("NAME"), NAME_COLUMN);
            (void)fprintf(c->out, "%*s%*s  STATE\n", NUMBER_COLUMN, "RATE/MIN", NUMBER_COLUMN,
                          "USD/MONTH");
        }
        id_cell(c, t->id);
        command_cell(c, t->name, NAME_COLUMN);
        command_number_cell(c, t->policy.rate_per_min, NUMBER_COLUMN);
        command_usd_cell(c, t->policy.budget_nusd[BUDGET_MONTH], NUMBER_COLUMN);
        (void)fputs(t->is_active ? "  active\n" : "  inactive\n", c->out);
    }
    c->rows++;
}

static int end_list(struct command *c, enum err e, const char *none)
{
    if (e != OK) {
        return store_fail(c, "reading the list");
    }
    if (c->cmd->is_json) {
        (void)fputs("]\n", c->out);
    } else if (c->rows == 0) {
        (void)fprintf(c->out, "%s\n", none);
    }
    return CLI_EXIT_DONE;
}

static int list_tenants(struct command *c)
{
    struct page page = {.c = c};
    enum err e = OK;
    (void)fputs(c->cmd->is_json ? "[" : "", c->out);
    do {
        page.in_page = 0;
        e = store_tenant_list(c->db, page.last, STORE_PAGE_MAX, show_tenant, &page);
    } while (e == OK && page.in_page == STORE_PAGE_MAX);
    return end_list(c, e, "There is no tenant yet; `llm-gateway tenant create NAME` makes one.");
}

/* --- key ---------------------------------------------------------------------------------------
 */

static void show_new_key(struct command *c, const struct store_tenant *t,
                         const struct store_key *key, const char *key_text)
{
    if (c->cmd->is_json) {
        struct text object = command_row(c);
        render_key(&object, key);
        print_open_object(c, &object);
        print_key_json(c, key_text);
        return;
    }
    (void)fputs("Tenant:     ", c->out);
    command_cell(c, t->name, 0);
    (void)fputs("\nKey id:     ", c->out);
    print_id(c, key->id);
    (void)fputs("\nExpires:    ", c->out);
    time_cell(c, key->expires_unix_ns, "never");
    (void)fputc('\n', c->out);
    print_key_text(c, key_text);
}

static int create_key(struct command *c)
{
    struct store_tenant t;
    struct store_key key;
    char key_text[AUTH_KEY_BYTES + 1];
    if (find_tenant(c, c->cmd->operand, &t) != OK) {
        return CLI_EXIT_FAILED;
    }
    make_key(&c->arena, t.id, &key, key_text);
    if (c->cmd->name) {
        key.name = slice_str(c->cmd->name);
    }
    if (c->cmd->expires_in_ns) {
        key.expires_unix_ns = key.created_unix_ns + c->cmd->expires_in_ns;
    }
    struct text detail = text_growing(&c->arena);
    render_key(&detail, &key);
    struct store_audit audit = audit_of(c, "key.create", key.id, text_slice(&detail));
    int status = CLI_EXIT_DONE;
    if (store_key_insert(c->db, &key, &audit) != OK) {
        status = store_fail(c, "the key was not created");
    } else {
        show_new_key(c, &t, &key, key_text);
        if (!t.is_active) {
            (void)fputs("llm-gateway: warning: the tenant is inactive, so its keys are refused\n",
                        c->errors);
        }
    }
    secret_wipe(key_text, sizeof(key_text));
    return status;
}

static int revoke_key(struct command *c)
{
    struct id id;
    struct store_key key;
    if (!id_parse(slice_str(c->cmd->operand), &id)) { /* it may be a key: not repeated */
        return command_fail(c, "that is not a key id; `llm-gateway key list TENANT` shows them");
    }
    enum err e = store_key_get(c->db, &c->arena, id, &key);
    if (e != OK) {
        return e == E_NOT_FOUND ? command_fail(c, "no key has the id %s", c->cmd->operand)
                                : store_fail(c, "reading the key");
    }
    bool was_active = key.is_active;
    if (was_active) {
        struct store_audit audit = audit_of(c, "key.revoke", key.id, SLICE_NONE);
        key.is_active = false;
        if (store_key_update(c->db, &key, &audit) != OK) {
            return store_fail(c, "the key was not revoked");
        }
    }
    if (c->cmd->is_json) {
        struct text object = command_row(c);
        render_key(&object, &key);
        TEXT_ADD(&object, "\n");
        command_row_end(c, &object);
    } else {
        (void)fprintf(c->out, "Key %s is revoked%s.\n", c->cmd->operand,
                      was_active ? "; a running gateway refuses it within a second"
                                 : " (it was before)");
    }
    return CLI_EXIT_DONE;
}

static const char *key_state(const struct store_key *k)
{
    bool is_expired = k->expires_unix_ns && k->expires_unix_ns <= clock_unix_ns();
    return !k->is_active ? "revoked" : is_expired ? "expired" : "active";
}

static void show_key(void *ctx, const struct store_key *k)
{
    struct page *page = ctx;
    struct command *c = page->c;
    page->in_page++;
    page->last = k->id;
    if (c->cmd->is_json) {
        struct text row = begin_object(c);
        render_key(&row, k);
        command_row_end(c, &row);
    } else {
        if (c->rows == 0) {
            command_cell(c, SLICE("KEY ID"), ID_COLUMN);
            command_cell(c, SLICE("NAME"), NAME_COLUMN);
            command_cell(c, SLICE("KEY"), NAME_COLUMN);
            command_cell(c, SLICE("EXPIRES"), TIME_COLUMN);
            (void)fputs("STATE\n", c->out);
        }
        id_cell(c, k->id);
        command_cell(c, k->name, NAME_COLUMN);
        command_cell(c, k->hint, NAME_COLUMN);
        time_cell(c, k->expires_unix_ns, "never");
        (void)fprintf(c->out, "%s\n", key_state(k));
    }
    c->rows++;
}

static int list_keys(struct command *c)
{
    struct page page = {.c = c};
    struct store_tenant t;
    enum err e = OK;
    if (find_tenant(c, c->cmd->operand, &t) != OK) {
        return CLI_EXIT_FAILED;
    }
    (void)fputs(c->cmd->is_json ? "[" : "", c->out);
    do {
        page.in_page = 0;
        e = store_key_list(c->db, t.id, page.last, STORE_PAGE_MAX, show_key, &page);
    } while (e == OK && page.in_page == STORE_PAGE_MAX);
    return end_list(c, e, "The tenant has no key.");
}

/* --- usage -------------------------------------------------------------------------------------
 */

/* Of the provider's prompt cache: tokens read and their share, tokens written, what it saved. */
static void show_prompt_cache(struct command *c, const struct store_usage_row *r)
{
    int64_t share = render_cache_read_share(r);
    command_number_cell(c, r->cache_read_tokens, NUMBER_COLUMN + 4);
    (void)fprintf(c->out, "%*lld.%lld%%", NUMBER_COLUMN - 3, (long long)(share / 100),
                  (long long)(share / 10 % 10));
    command_number_cell(c, r->cache_write_5m_tokens + r->cache_write_1h_tokens, NUMBER_COLUMN + 4);
    char saved[MONEY_TEXT_MAX_BYTES]; /* writes may outweigh */
    size_t len = money_format(r->saved_nusd, saved);
    (void)fprintf(c->out, "%*.*s", NUMBER_COLUMN + 4, (int)len, saved);
}

static void show_usage_row(void *ctx, const struct store_usage_row *r)
{
    struct command *c = ctx;
    if (c->cmd->is_json) {
        struct text row = begin_object(c);
        render_usage_row(&row, r);
        command_row_end(c, &row);
    } else {
        if (c->rows == 0) {
            command_cell(c, SLICE("PROVIDER"), NAME_COLUMN);
            (void)fprintf(c->out, "%*s%*s%*s%*s%*s%*s%*s%*s\n", NUMBER_COLUMN, "REQUESTS",
                          NUMBER_COLUMN + 4, "TOKENS", NUMBER_COLUMN + 4, "USD", NUMBER_COLUMN,
                          "AVERAGE MS", NUMBER_COLUMN + 4, "CACHE READ", NUMBER_COLUMN, "OF PROMPT",
                          NUMBER_COLUMN + 4, "CACHE WRITE", NUMBER_COLUMN + 4, "SAVED USD");
        }
        command_cell(c, r->provider.len ? r->provider : SLICE("(none)"), NAME_COLUMN);
        command_number_cell(c, r->requests, NUMBER_COLUMN);
        command_number_cell(c, r->tokens, NUMBER_COLUMN + 4);
        command_usd_cell(c, r->cost_nusd, NUMBER_COLUMN + 4);
        command_number_cell(c, r->latency_avg_us / 1000, NUMBER_COLUMN);
        show_prompt_cache(c, r);
        (void)fputc('\n', c->out);
    }
    c->rows++;
}

static int show_usage(struct command *c)
{
    struct store_tenant t;
    if (find_tenant(c, c->cmd->operand, &t) != OK) {
        return CLI_EXIT_FAILED;
    }
    if (c->cmd->is_json) {
        struct text head = command_row(c);
        TEXT_ADD(&head, "{");
        add_id(&head, "tenant_id", t.id);
        text_addf(&head, ",\"period_days\":%lld,\"usage_by_provider\":[", (long long)c->cmd->days);
        command_row_end(c, &head);
    } else {
        (void)fputs("Usage of ", c->out);
        command_cell(c, t.name, 0);
        (void)fprintf(c->out, " in the last %lld days\n\n", (long long)c->cmd->days);
    }
    enum err e = store_usage_by_provider(c->db, t.id, clock_unix_ns() - c->cmd->days * NS_PER_DAY,
                                         show_usage_row, c);
    if (e != OK) {
        return store_fail(c, "reading the usage");
    }
    if (c->cmd->is_json) {
        (void)fputs("]}\n", c->out);
    } else if (c->rows == 0) {
        (void)fputs("No requests.\n", c->out);
    }
    return CLI_EXIT_DONE;
}

/* --- migrate, version --------------------------------------------------------------------------
 */

/* Opening has applied them. */
static int show_migration(struct command *c)
{
    int now = 0;
    int same = 0;
    int from = store_db_opened_version(c->db);
    if (store_db_migrate(c->db, &same, &now) != OK) {
        return store_fail(c, "reading the schema's version");
    }
    assert(same == now);
    if (c->cmd->is_json) {
        (void)fprintf(c->out, "{\"from\":%d,\"to\":%d}\n", from, now);
    } else if (from == now) {
        (void)fprintf(c->out, "The database is at version %d already.\n", now);
    } else {
        (void)fprintf(c->out, "The database went from version %d to %d.\n", from, now);
    }
    return CLI_EXIT_DONE;
}

int commands_version(bool is_json, FILE *out)
{
    struct slice date = catalogue_date();
    int n = fprintf(out,
                    is_json ? "{\"version\":\"%s\",\"catalogue_date\":\"%.*s\","
                              "\"sqlite\":\"%s\",\"openssl\":\"%s\"}\n"
                            : "llm-gateway %s (catalogue %.*s, SQLite %s, OpenSSL %s)\n",
                    GW_VERSION, SLICE_ARG(date), sqlite3_libversion(),
                    OpenSSL_version(OPENSSL_VERSION_STRING));
    return n > 0 && fflush(out) == 0 ? CLI_EXIT_DONE : CLI_EXIT_FAILED;
}

/* --- dispatch ----------------------------------------------------------------------------------
 */

typedef int (*command_fn)(struct command *c);

static command_fn function_of(enum cli_verb verb)
{
    switch (verb) {
    case CLI_MIGRATE: return show_migration;
    case CLI_TENANT_CREATE: return create_tenant;
    case CLI_TENANT_LIST: return list_tenants;
    case CLI_KEY_CREATE: return create_key;
    case CLI_KEY_REVOKE: return revoke_key;
    case CLI_KEY_LIST: return list_keys;
    case CLI_USAGE: return show_usage;
    case CLI_PRICES: return command_prices;
    case CLI_SERVE:
    case CLI_CHECK:
    case CLI_VERSION:
    case CLI_TENANT:
    case CLI_KEY:
    case CLI_HELP:
    case CLI_VERB_COUNT: break;
    }
    assert(false && "the verb is not one of these commands");
    return NULL;
}

static int run_open(struct command *c, command_fn run)
{
    char why[WHY_BYTES] = "";
    struct store_conf store = c->conf->store;
    store.is_migrating = c->cmd->verb == CLI_MIGRATE || !c->cmd->is_no_migrate;
    enum err e = store_db_open(&store, &c->db, why, sizeof(why));
    if (e != OK) {
        return command_fail(c, "%s", why[0] ? why : err_text(e));
    }
    int status = run(c);
    store_db_close(c->db);
    return status;
}

int commands_run(const struct cli_command *cmd, const struct gateway_conf *conf, FILE *out,
                 FILE *errors)
{
    struct command c = {.cmd = cmd, .conf = conf, .out = out, .errors = errors};
    command_fn run = function_of(cmd->verb);
    arena_init(&c.arena, NULL, ARENA_MAX_BYTES);
    arena_init(&c.row, NULL, ARENA_MAX_BYTES);
    int status = cmd->verb == CLI_PRICES ? run(&c) : run_open(&c, run);
    if (fflush(out) != 0 || ferror(out)) {
        status = command_fail(&c, "the output could not be written");
    } else if (c.is_cut) {
        status = command_fail(&c, "the output is not complete: a row was too large");
    }
    arena_deinit(&c.row);
    arena_deinit(&c.arena);
    return status;
}
