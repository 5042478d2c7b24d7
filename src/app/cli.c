#include "app/cli.h"

#include "admin/render.h"
#include "app/cli_inside.h"
#include "core/check.h"
#include "core/money.h"

#include <assert.h>
#include <stdarg.h>

/* One walk over argv. */
struct walk {
    int argc;
    char **argv;
    int at;         /* next argument */
    int words_left; /* words that are the verb, not operands */
    struct cli_command *out;
    char *why;
    size_t why_cap;
    bool is_over;  /* --version: the rest does not matter */
    uint64_t seen; /* bit per row of cli_options */
};

static enum err complain(struct walk *w, const char *format, ...) PRINTF(2, 3);

static enum err complain(struct walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(w->why, w->why_cap, format, args);
    va_end(args);
    return E_SYNTAX;
}

/* --- near names --- */

struct near {
    struct slice wanted;
    size_t best;
    char name[CLI_OPTION_MAX_BYTES]; /* "" while none is near */
};

static struct near near_to(struct slice wanted)
{
    return (struct near){.wanted = wanted, .best = wanted.len < 6 ? 3 : 4};
}

static void near_try(void *ctx, const char *name)
{
    struct near *n = ctx;
    size_t len = strlen(name);
    size_t distance = config_distance(n->wanted, slice_of(name, len), n->best);
    if (distance < n->best && distance < len && len < sizeof(n->name)) {
        n->best = distance;
        memcpy(n->name, name, len + 1);
    }
}

/* --- options by name --- */

/* What "--x" is for the verb: a row of the table, or a setting, or neither. */
struct found {
    const struct cli_option *option;
    const struct config_row *setting;
    bool has_value;
};

static bool is_setting(struct slice name, const struct config_row *row)
{
    char option[CLI_OPTION_MAX_BYTES];
    return row->type != CONFIG_SECRET &&
           slice_eq(name, slice_of(option, cli_setting_option(row, option)));
}

/* verb CLI_VERB_COUNT: of any verb. */
static bool find_option(struct slice name, enum cli_verb verb, struct found *out)
{
    *out = (struct found){0};
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *o = &cli_options[i];
        if ((verb == CLI_VERB_COUNT || cli_option_fits(o, verb)) &&
            (slice_eq(name, slice_str(o->name)) ||
             (o->kind == CLI_OPT_HELP && slice_eq(name, SLICE("-h"))))) {
            *out = (struct found){.option = o, .has_value = o->value != NULL};
            return true;
        }
    }
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (is_setting(name, row) && (verb == CLI_VERB_COUNT || cli_takes_setting(verb, row))) {
            *out = (struct found){.setting = row, .has_value = true};
            return true;
        }
    }
    return false;
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

static struct slice option_name(const char *arg)
{
    struct slice s = slice_str(arg);
    return slice_head(s, slice_find(s, '='));
}

/* --- which verb --- */

enum { VERB_WORDS = 2 };

/* Finds the first words that are neither options nor their values. */
static int first_words(int argc, char **argv, const char *words[VERB_WORDS])
{
    int count = 0;
    for (int i = 1; i < argc && count < VERB_WORDS; i++) {
        struct found found;
        if (strcmp(argv[i], "--") == 0) {
            break;
        }
        if (!is_option(argv[i])) {
            words[count++] = argv[i];
        } else if (!strchr(argv[i], '=') &&
                   find_option(option_name(argv[i]), CLI_VERB_COUNT, &found) && found.has_value) {
            i++;
        }
    }
    return count;
}

static bool is_word(const char *word, const char *wanted)
{
    return word && strcmp(word, wanted) == 0;
}

/* group NULL: among the verbs of one word. CLI_VERB_COUNT: none. */
static enum cli_verb find_verb(const char *group, const char *word, struct near *near)
{
    for (size_t i = 0; i < CLI_VERB_COUNT; i++) {
        const struct cli_verb_row *row = &cli_verbs[i];
        bool is_here = group ? is_word(row->group, group) : row->group == NULL;
        if (is_here && is_word(word, row->word)) {
            return (enum cli_verb)i;
        }
        if (is_here) {
            near_try(near, row->word);
        }
    }
    return CLI_VERB_COUNT;
}

static enum err unknown_word(struct walk *w, const char *group, const char *word,
                             const struct near *near)
{
    bool is_near = near->name[0] != '\0';
    return complain(w, "unknown command \"%.60s\"%s%s%s%s%s%s", word, group ? " of \"" : "",
                    group ? group : "", group ? "\"" : "", is_near ? "; did you mean \"" : "",
                    near->name, is_near ? "\"?" : "");
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* words, at most two, to a verb; count says how many of them it took. */
static enum err take_verb(struct walk *w, const char *const *words, int count)
{
    struct cli_command *out = w->out;
    out->verb = CLI_SERVE;
    if (count == 0) {
        return OK;
    }
    struct near near = near_to(slice_str(words[0]));
    enum cli_verb verb = find_verb(NULL, words[0], &near);
    if (verb == CLI_VERB_COUNT) {
        out->verb = CLI_HELP;
        return unknown_word(w, NULL, words[0], &near);
    }
    out->verb = verb;
    w->words_left = 1;
    if (verb != CLI_TENANT && verb != CLI_KEY) {
        return OK;
    }
    if (count == 1) {
        return out->wants_help
                   ? OK
                   : complain(w, "\"%s\" needs a command: %s", words[0],
                              verb == CLI_KEY ? "create, revoke or list" : "create or list");
    }
    near = near_to(slice_str(words[1]));
    verb = find_verb(words[0], words[1], &near);
    if (verb == CLI_VERB_COUNT) {
        return unknown_word(w, words[0], words[1], &near);
    }
    out->verb = verb;
    w->words_left = 2;
    return OK;
}

/* "llm-gateway help [COMMAND]" */
static enum err take_help(struct walk *w)
{
    const char *words[VERB_WORDS + 1];
    int count = 0;
    for (int i = 1; i < w->argc && count <= VERB_WORDS; i++) {
        if (!is_option(w->argv[i])) {
            words[count++] = w->argv[i];
        }
    }
    w->out->wants_help = true;
    enum err e = take_verb(w, words + 1, count - 1);
    if (e == OK && count == 1) {
        w->out->verb = CLI_HELP;
    }
    return e;
}

/* --- values --- */

static enum err bad_value(struct walk *w, const char *name, const char *value, const char *accepted)
{
    return complain(w, "%s: \"%.60s\" is not accepted; it takes %s", name, value, accepted);
}

/* Adds "NAME=value"; a value given before for the same name gives way. */
static enum err add_flag(struct walk *w, const struct config_row *row, const char *value)
{
    struct cli_command *out = w->out;
    size_t name_len = strlen(row->name);
    size_t value_len = strlen(value);
    if (name_len + 2 > CLI_ROOM_BYTES - out->room_used ||
        value_len > CLI_ROOM_BYTES - out->room_used - name_len - 2) {
        return complain(w, "the settings on the command line are too long; use a file");
    }
    char *text = out->room + out->room_used;
    memcpy(text, row->name, name_len);
    text[name_len] = '=';
    memcpy(text + name_len + 1, value, value_len + 1);
    out->room_used += name_len + value_len + 2;
    size_t i = 0;
    while (i < out->flag_count && memcmp(out->flags[i], text, name_len + 1) != 0) {
        i++;
    }
    assert(i < CLI_FLAGS_MAX); /* one a row */
    out->flags[i] = text;
    out->flag_count += i == out->flag_count;
    return OK;
}
static_assert((int)CONF_COUNT <= (int)CLI_FLAGS_MAX, "every setting may be given");

static enum err take_set(struct walk *w, const char *value)
{
    struct slice name = option_name(value);
    struct near near = near_to(name);
    if (name.len == strlen(value) || name.len == 0) {
        return bad_value(w, "--set", value, "NAME=VALUE");
    }
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (!slice_eq(name, slice_str(row->name))) {
            near_try(&near, row->name);
        } else if (row->type == CONFIG_SECRET) {
            return complain(w,
                            "--set: %s is a secret, and others can read a command line; use the "
                            "environment or .env",
                            row->name);
        } else {
            return add_flag(w, row, value + name.len + 1);
        }
    }
    bool is_near = near.name[0] != '\0';
    return complain(w, "--set: there is no setting \"%.*s\"%s%s%s", (int)size_min(name.len, 60),
                    name.ptr, is_near ? "; did you mean " : "", near.name, is_near ? "?" : "");
}

static enum err take_number(struct walk *w, const struct cli_option *o, const char *value,
                            int64_t *out)
{
    struct slice text = slice_str(value);
    switch (o->kind) {
    case CLI_OPT_LIMIT:
        if (strcmp(value, "none") == 0) {
            *out = -1;
            return OK;
        }
        return slice_to_i64(text, out) && *out >= 0
                   ? OK
                   : bad_value(w, o->name, value, "a whole number from 0, or none");
    case CLI_OPT_USD:
        if (strcmp(value, "none") == 0) {
            *out = -1;
            return OK;
        }
        return money_parse(text, out) == OK
                   ? OK
                   : bad_value(w, o->name, value,
                               "an amount of USD from 0 with at most 9 decimals, or none");
    case CLI_OPT_DAYS:
        return slice_to_i64(text, out) && *out >= 1 && *out <= CLI_DAYS_MAX
                   ? OK
                   : bad_value(w, o->name, value, "a whole number from 1 to 3650");
    case CLI_OPT_SPAN:
        return config_parse_number(CONFIG_DURATION, text, out) && *out > 0 &&
                       *out / NS_PER_DAY <= CLI_DAYS_MAX
                   ? OK
                   : bad_value(w, o->name, value, "a time such as 30d, 12h or 45m, up to 3650d");
    case CLI_OPT_HELP:
    case CLI_OPT_VERSION:
    case CLI_OPT_FLAG:
    case CLI_OPT_TEXT:
    case CLI_OPT_SET:
    case CLI_OPT_MODEL:
    case CLI_OPT_PERIOD:
    case CLI_OPT_ON_OFF: break;
    }
    assert(false && "the option has no number");
    return E_SYNTAX;
}

static enum err take_period(struct walk *w, const char *value)
{
    for (size_t i = 0; i < BUDGET_PERIODS; i++) {
        if (strcmp(value, budget_period_names[i]) == 0) {
            w->out->policy.soft_budgets |= (uint8_t)(1u << i);
            return OK;
        }
    }
    return bad_value(w, "--soft-budget", value, "day, week, month or total");
}

static enum err take_model(struct walk *w, const char *value)
{
    if (value[0] == '\0' || strlen(value) > STORE_NAME_MAX_BYTES) {
        return bad_value(w, "--model", value, "a name of 1 to 200 bytes");
    }
    if (w->out->model_count == CLI_MODELS_MAX) {
        return complain(w, "--model: at most %d models can be named", CLI_MODELS_MAX);
    }
    w->out->models[w->out->model_count++] = value;
    return OK;
}

static enum err take_text(struct walk *w, const struct cli_option *o, const char *value)
{
    if (value[0] == '\0') {
        return complain(w, "%s: the value is empty", o->name);
    }
    memcpy((char *)w->out + o->offset, &value, sizeof(value));
    return OK;
}

static enum err take_option(struct walk *w, const struct cli_option *o, const char *value)
{
    char *at = (char *)w->out + o->offset;
    int64_t number = 0;
    enum err e;
    switch (o->kind) {
    case CLI_OPT_HELP: w->out->wants_help = true; return OK;
    case CLI_OPT_VERSION:
        w->out->verb = CLI_VERSION;
        w->is_over = true;
        return OK;
    case CLI_OPT_FLAG: *(bool *)at = true; return OK;
    case CLI_OPT_TEXT: return take_text(w, o, value);
    case CLI_OPT_SET: return take_set(w, value);
    case CLI_OPT_MODEL: return take_model(w, value);
    case CLI_OPT_PERIOD: return take_period(w, value);
    case CLI_OPT_ON_OFF:
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
            return bad_value(w, o->name, value, "on or off");
        }
        w->out->policy.cache_mode = slice_str(value);
        return OK;
    case CLI_OPT_LIMIT:
    case CLI_OPT_USD:
    case CLI_OPT_DAYS:
    case CLI_OPT_SPAN:
        e = take_number(w, o, value, &number);
        if (e == OK) {
            memcpy(at, &number, sizeof(number));
            w->out->has_rate_limit |=
                o->offset == offsetof(struct cli_command, policy.rate_per_min);
        }
        return e;
    }
    return OK;
}

/* --- the walk --- */

static bool is_repeatable(enum cli_option_kind kind)
{
    return kind == CLI_OPT_SET || kind == CLI_OPT_MODEL || kind == CLI_OPT_PERIOD ||
           kind == CLI_OPT_HELP || kind == CLI_OPT_VERSION;
}

static enum err unknown_option(struct walk *w, struct slice name)
{
    struct found other;
    struct near near = near_to(name);
    const char *verb = cli_verb_name(w->out->verb);
    int len = (int)size_min(name.len, 60);
    if (find_option(name, CLI_VERB_COUNT, &other)) {
        return complain(w, "%.*s is not an option of \"%s\"", len, name.ptr, verb);
    }
    cli_each_option(w->out->verb, near_try, &near);
    bool is_near = near.name[0] != '\0';
    return complain(w, "unknown option %.*s%s%s%s", len, name.ptr, is_near ? "; did you mean " : "",
                    near.name, is_near ? "?" : "");
}

/* The value behind '=' or in the next argument; "" where the option takes none. */
static enum err value_of(struct walk *w, struct slice name, const struct found *found,
                         const char **out)
{
    const char *arg = w->argv[w->at - 1];
    const char *inside = arg[name.len] == '=' ? arg + name.len + 1 : NULL;
    *out = inside ? inside : "";
    if (!found->has_value) {
        return inside ? complain(w, "%.*s takes no value", SLICE_ARG(name)) : OK;
    }
    if (inside) {
        return OK;
    }
    if (w->at >= w->argc || slice_starts(slice_str(w->argv[w->at]), SLICE("--"))) {
        return complain(w, "%.*s needs a value%s%s", SLICE_ARG(name), found->option ? ": " : "",
                        found->option ? found->option->value : "");
    }
    *out = w->argv[w->at++];
    return OK;
}

static enum err take_argument(struct walk *w)
{
    const char *value;
    struct found found;
    struct slice name = option_name(w->argv[w->at++]);
    if (!find_option(name, w->out->verb, &found)) {
        return unknown_option(w, name);
    }
    enum err e = value_of(w, name, &found, &value);
    if (e != OK) {
        return e;
    }
    if (found.setting) {
        return add_flag(w, found.setting, value);
    }
    uint64_t bit = UINT64_C(1) << (found.option - cli_options);
    if ((w->seen & bit) && !is_repeatable(found.option->kind)) {
        return complain(w, "%s is given twice", found.option->name);
    }
    w->seen |= bit;
    return take_option(w, found.option, value);
}

static enum err take_word(struct walk *w, const char *word)
{
    const struct cli_verb_row *row = &cli_verbs[w->out->verb];
    if (w->words_left) {
        w->words_left--;
        return OK;
    }
    if (!row->operand || w->out->operand) {
        return complain(w, "unexpected argument \"%.60s\"", word);
    }
    if (slice_trim(slice_str(word)).len == 0 || strlen(word) > STORE_NAME_MAX_BYTES) {
        return bad_value(w, row->operand, word, "1 to 200 bytes, not only spaces");
    }
    w->out->operand = word;
    return OK;
}

static enum err walk_all(struct walk *w)
{
    enum err e = OK;
    bool is_rest = false;
    w->at = 1;
    while (e == OK && !w->is_over && w->at < w->argc) {
        const char *arg = w->argv[w->at];
        if (!is_rest && strcmp(arg, "--") == 0) {
            is_rest = true;
            w->at++;
        } else if (!is_rest && is_option(arg)) {
            e = take_argument(w);
        } else {
            w->at++;
            e = take_word(w, arg);
        }
    }
    const char *operand = cli_verbs[w->out->verb].operand;
    if (e == OK && operand && !w->out->operand && !w->is_over) {
        return complain(w, "\"%s\" needs a %s", cli_verb_name(w->out->verb), operand);
    }
    return e;
}

static const struct store_policy nothing_given = {.rate_per_min = -1,
                                                  .tokens_per_min = -1,
                                                  .concurrent_max = -1,
                                                  .budget_nusd = {-1, -1, -1, -1}};

/* The first option before that word that no command knows; NULL: none. */
static const char *stranger_before(char **argv, const char *word)
{
    struct found found;
    for (size_t i = 1; argv[i] && argv[i] != word; i++) {
        if (is_option(argv[i]) && !find_option(option_name(argv[i]), CLI_VERB_COUNT, &found)) {
            return argv[i];
        }
    }
    return NULL;
}

enum err cli_parse(int argc, char **argv, struct cli_command *out, char *why, size_t why_cap)
{
    const char *words[VERB_WORDS] = {NULL, NULL};
    struct walk w = {.argc = argc, .argv = argv, .out = out, .why = why, .why_cap = why_cap};
    assert(why_cap > 0);
    memset(out, 0, sizeof(*out));
    why[0] = '\0';
    out->policy = nothing_given;
    out->days = 30;
    int count = first_words(argc, argv, words);
    if (count && is_word(words[0], cli_verbs[CLI_HELP].word)) {
        return take_help(&w);
    }
    out->wants_help = asks_help(argc, argv);
    enum err e = take_verb(&w, words, count);
    const char *stranger = e != OK && count > 0 ? stranger_before(argv, words[0]) : NULL;
    if (stranger) { /* "--prot 80": its value was taken for a command */
        out->verb = CLI_SERVE;
        return unknown_option(&w, option_name(stranger));
    }
    if (e != OK || out->wants_help) {
        if (count == 0) {
            out->verb = CLI_HELP;
        }
        return e;
    }
    return walk_all(&w);
}
