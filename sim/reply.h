/* sim/reply.h -- what is said to a prompt, before any dialect: thoughts, text, calls of tools.
 *
 * Without directives: a tool is called when there are some and the prompt is no tool result, else
 * the prompt is quoted. Pieces of text are tokens (words), pieces of arguments are fragments.
 */
#ifndef SIM_REPLY_H
#define SIM_REPLY_H

#include "ask.h"

enum { REPLY_CALLS_MAX = 16 };

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_TOOLS };

struct call {
    const struct tool *tool;
    struct content arguments;
};

struct reply {
    const struct ask *ask; /* borrowed */
    struct content thoughts;
    struct content text;
    struct call calls[REPLY_CALLS_MAX];
    size_t call_n;
    enum finish finish;
    int64_t prompt_tokens;
    int64_t text_tokens; /* text and arguments, without thoughts */
    int64_t thought_tokens;
    int64_t output_tokens; /* all of them, or as told */
};

void reply_make(struct reply *r, const struct ask *a);
void reply_deinit(struct reply *r);

/* How it ended, in the dialect's words or in the directive's. */
const char *reply_finish(const struct reply *r, const char *stop, const char *length,
                         const char *tools);
bool reply_usage_is(const struct reply *r, const char *mode);
bool reply_has_text(const struct reply *r); /* an empty text counts when nothing else is said */

struct str content_piece(const struct content *c, size_t i);
int64_t reply_told(int64_t directive, int64_t otherwise); /* -1: not told */

#endif
