/* sim/oauth.h -- a token endpoint: client credentials and signed assertions in, expiring tokens
 * out.
 *
 * A token says itself until when it is good ("sim.NUMBER.UNIX_MS.MAC"), so nothing is kept.
 */
#ifndef SIM_OAUTH_H
#define SIM_OAUTH_H

#include "ask.h"

/* POST of a form; Entra's paths and Google's. */
void oauth_answer(struct content *c, const struct ask *a);
/* Whether the token was given out here and has not expired. */
bool oauth_is_good(struct str token);

#endif
