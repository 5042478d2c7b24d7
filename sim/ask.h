/* sim/ask.h -- one request to the API taken apart, and what all dialects share.
 *
 *   paths.c finds the endpoint -> the dialect reads the prompt -> directives and script
 *     -> the endpoint answers, or trouble.c refuses, in the dialect's own form
 *
 * An endpoint is a row of the table in paths.c. Its dialect decides how a prompt is read, how a key
 * is sent, and what errors look like; everything that goes wrong on purpose is common to all.
 */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include "answer.h"
#include "behaviour.h"
#include "http.h"

#include <yyjson.h>

enum { PROMPT_TOOLS_MAX = 512 };

enum dialect { OPENAI, AZURE, RESPONSES, ANTHROPIC, GEMINI, OLLAMA, BEDROCK };

struct control;
struct store;

struct sim_conf {
    const char *fixtures;     /* directory; NULL: none */
    const char *api_key;      /* NULL: any key is accepted */
    const char *aws_keys;     /* "ID:SECRET" that SigV4 is checked with; NULL: unchecked */
    const char *oauth_client; /* "ID:SECRET" that gets tokens; then Bearer must be one of them */
    const char *oauth_key;    /* PEM file: public key of assertions that get tokens; the same */
    int64_t oauth_life_s;     /* of tokens; 0: an hour */
    struct control *control;
    struct store *store;  /* files, batches, responses */
    bool only_told_tools; /* a tool is called only when a directive or the request demands it */
    int64_t created;      /* unix seconds, in every answer */
};

struct tool {
    struct str name;
    yyjson_val *schema;
    bool is_custom; /* of Responses: its input is text, not JSON */
};

/* The dialect's request in neutral words. Strings and values are borrowed from the body. */
struct prompt {
    struct buf last;      /* text to answer: the last user's, or the tool results after it */
    struct buf turn;      /* of the message being read */
    struct buf results;   /* its tool results */
    struct str directive; /* after "sim:", up to the end of its line; of the text to answer */
    struct str turn_directive;
    bool turn_asks; /* the message being read is the user's or a tool's */
    bool turn_is_result;
    bool is_result; /* the last message is a tool result */
    int64_t tokens;
    struct tool tools[PROMPT_TOOLS_MAX];
    size_t tool_n;
    struct str wanted; /* the tool that must be called */
    bool no_tools;     /* none may be called */
    bool must_call;    /* one must be called, whichever */
    bool wants_json;
    yyjson_val *schema; /* of the JSON; NULL: any */
    bool thinks;
    int64_t max_tokens; /* -1: no limit */
};

struct ask;

enum streaming { STREAM_IF_ASKED, STREAM_UNLESS_REFUSED, STREAM_ALWAYS, STREAM_NEVER };

enum needs {
    NEEDS_JSON = 1,    /* the body is an object */
    NEEDS_MODEL = 2,   /* and names a model */
    MODEL_IN_PATH = 4, /* what the path's star took is the model */
    HAS_STATE = 8,     /* the answer is not a function of target and body */
    BY_CLIENT = 16,    /* a path of several dialects: headers tell whose it is */
    OPEN_TO_ALL = 32,  /* no key is wanted */
};

struct endpoint {
    const char *path; /* after its prefix. One star takes what is not empty and has no slash; at the
                         pattern's end it takes all that is left */
    const char *method;
    enum dialect dialect;
    enum streaming streaming;
    unsigned needs;
    void (*read)(struct prompt *p, const struct ask *a); /* NULL: there is no prompt */
    void (*answer)(struct content *c, const struct ask *a);
};

/* Everything is borrowed but b and prompt's buffers. */
struct ask {
    const struct sim_conf *conf;
    const struct request *http;
    const struct endpoint *endpoint;
    enum dialect dialect;
    yyjson_val *root;        /* the body's object */
    struct str model;        /* without directives */
    struct str part;         /* what the star of the path took, decoded */
    const struct form *form; /* a multipart body; NULL: it is none */
    struct behaviour b;
    struct prompt prompt;
    uint64_t id; /* of the request's bytes: the same request has the same answer */
    int64_t created;
    bool stream;
    bool include_usage;
};

struct str json_str(yyjson_val *v); /* "" when v is no string */
struct str json_member(yyjson_val *object, const char *name);
void buf_value(struct buf *out, yyjson_val *v); /* v as JSON; null when it is NULL */
int64_t count_words(struct str s);
bool str_same(struct str a, struct str b);
struct str query_value(const struct request *r, const char *name); /* not decoded; NULL ptr */

/* Reading a prompt: turn() begins a message, the others add to it, end() closes the last one. */
void prompt_turn(struct prompt *p, bool asks);
void prompt_text(struct prompt *p, struct str text);
void prompt_content(struct prompt *p, yyjson_val *content); /* a text, or parts with text */
void prompt_result(struct prompt *p, yyjson_val *content);  /* a text, parts, or any JSON */
void prompt_tool(struct prompt *p, struct tool tool);
void prompt_end(struct prompt *p);
void prompt_deinit(struct prompt *p);

/* One SSE event of the content, in the style the behaviour asks for; name may be NULL. */
void content_event(struct content *c, const struct behaviour *b, const char *name, struct str json);

#endif
