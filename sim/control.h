/* sim/control.h -- the script of behaviours and the record of what was received; shared by all
 * threads under one lock, and only there when the simulator was started with --control or --script.
 *
 * A script is a JSON list. Each entry has conditions (model, path, header: {name: value}), times
 * (default 1, 0 for ever) and directives of behaviour.def; headers: {name: value} adds header lines
 * and do: "status=429;retry_after=2" takes them in the model suffix's form. For each request the
 * first entry that matches and has times left is used. The record keeps the last RECORDS_MAX
 * requests.
 */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include "behaviour.h"
#include "http.h"

#include <yyjson.h>

enum { RECORDS_MAX = 2000, RECORD_BODY_MAX_BYTES = 256 << 10, SCRIPT_MAX = 1000 };

struct control;

struct control *control_new(void);

/* Appends the entries of a JSON list; false with a message when one is not understood (then none).
 */
bool control_script(struct control *c, struct str json, struct buf *out_why);
void control_reset(struct control *c);

/* Uses up an entry that matches and applies it. model may be empty (a request without a body). */
bool control_apply(struct control *c, const struct request *r, struct str model, bool only_early,
                   struct behaviour *b);
bool control_has_script(struct control *c); /* without the lock */

/* The returned sequence number starts with 1. */
uint64_t control_record(struct control *c, const struct request *r, uint64_t conn, int64_t now_ns);
void control_finish(struct control *c, uint64_t seq, size_t sent, bool gone, int64_t now_ns);
void control_conn(struct control *c, int change); /* connections open: +1, -1 */

void control_requests(struct control *c, uint64_t since, struct buf *out); /* JSON */
void control_stats(struct control *c, struct buf *out);                    /* JSON */

#endif
