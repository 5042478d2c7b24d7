#include "gateway/pipeline.h"

#include <assert.h>

static const struct stage pipeline[] = {
    {"auth", auth_stage},   {"parse", parse_stage}, {"resolve", resolve_stage},
    {"admit", admit_stage}, {"cache", cache_stage}, {"reserve", reserve_stage},
    {"call", call_stage},
};

HOT void pipeline_run(struct exchange *x)
{
    while (x->stage < ARRAY_LEN(pipeline)) {
        switch (pipeline[x->stage].run(x)) {
        case STAGE_NEXT: x->stage++; break;
        case STAGE_WAIT:
        case STAGE_REPLY: return; /* x may be gone */
        }
    }
}

void pipeline_resume(struct exchange *x)
{
    assert(x->state == EXCHANGE_STAGES && x->stage < ARRAY_LEN(pipeline));
    x->stage++;
    pipeline_run(x);
}
