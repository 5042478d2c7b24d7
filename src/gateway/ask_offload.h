/* gateway/ask_offload.h -- bodies over 1 MiB are scanned on an offload thread, not on the loop. */
#ifndef GATEWAY_ASK_OFFLOAD_H
#define GATEWAY_ASK_OFFLOAD_H

#include "gateway/pipeline.h"

enum { ASK_OFFLOAD_BYTES = 1 << 20 };

/* True: the scan runs elsewhere and the pipeline goes on when it is done. False: scan here (the
 * queue is full). */
bool ask_offload(struct exchange *x);

/* stages.c: the scan itself, and what follows from its result. */
enum err stage_scan(struct exchange *x, struct arena *a, struct fault *out_fault);
enum stage_result stage_scanned(struct exchange *x, enum err e, struct fault *f);

#endif
