/* sim/trouble.h -- errors in the form of each dialect: documents, and events inside a stream. */
#ifndef SIM_TROUBLE_H
#define SIM_TROUBLE_H

#include "ask.h"

/* Members that are NULL are left to the dialect's habit for the status. */
struct trouble {
    int64_t status;
    const char *message;
    const char *type; /* of the error object; Gemini's status, Bedrock's error type */
    const char *param;
    const char *code;
    const char *retry_after; /* Gemini says it in the body */
    size_t sequence;         /* of the event, Responses only */
};

void content_trouble(struct content *c, enum dialect d, const struct trouble *t);

/* An error of OpenAI's form; param and code may be NULL and are then null. */
void content_error(struct content *c, int64_t status, const char *message, const char *param,
                   const char *code);

/* An error of the request's dialect. */
void content_refuse(struct content *c, const struct ask *a, int64_t status, const char *message);
void content_refusef(struct content *c, const struct ask *a, int64_t status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* status=N of a directive, with its message, type and code. */
void content_scripted(struct content *c, enum dialect d, const struct behaviour *b);

/* error_at=N: the stream turns into an error and ends, as a provider in trouble does it. */
void content_break_off(struct content *c, const struct ask *a);

/* The header line of the request's id, up to the id itself. */
const char *trouble_id_header(enum dialect d);

#endif
