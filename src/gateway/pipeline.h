/* gateway/pipeline.h -- the order of the stages: a request's whole life is this array.
 *
 *   auth -> (body) -> parse -> resolve -> admit -> cache -> reserve -> call -> account
 *
 * Each stage is an adapter (stages.c): the decision is a function of its own folder.
 */
#ifndef GATEWAY_PIPELINE_H
#define GATEWAY_PIPELINE_H

#include "gateway/exchange.h"

enum stage_result {
    STAGE_NEXT, /* go on with the next stage */
    STAGE_WAIT, /* someone will call pipeline_resume() */
    STAGE_REPLY /* the request has its answer */
};

struct stage {
    const char *name;
    enum stage_result (*run)(struct exchange *x);
};

/* Runs stages from x->stage on. */
void pipeline_run(struct exchange *x);
/* The stage that waited is done: goes on with the next one. */
void pipeline_resume(struct exchange *x);

/* Who asks, by the head alone: fills x->who. False: refused, and the request has its answer. */
MUST_USE bool stage_authenticate(struct exchange *x);

enum stage_result auth_stage(struct exchange *x);
enum stage_result parse_stage(struct exchange *x);
enum stage_result resolve_stage(struct exchange *x);
enum stage_result admit_stage(struct exchange *x);
enum stage_result cache_stage(struct exchange *x);
enum stage_result reserve_stage(struct exchange *x);
enum stage_result call_stage(struct exchange *x);

#endif
