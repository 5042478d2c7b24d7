/* sim/fixture.h -- recorded answers: <dir>/<name>.json with {response: {status, headers, body |
 * body_file}}, a bare <name>.sse, or a bare <name>.body.json. Bodies go out byte for byte; a
 * recorded JSON body is written without spaces, its numbers as they were.
 */
#ifndef SIM_FIXTURE_H
#define SIM_FIXTURE_H

#include "answer.h"

/* False, with a message in out_why, when there is no such recording or it is not understood. */
bool fixture_load(struct content *c, const char *dir, const char *name, struct buf *out_why);

#endif
