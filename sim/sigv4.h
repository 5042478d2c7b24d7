/* sim/sigv4.h -- AWS Signature Version 4, checked as the service does it. */
#ifndef SIM_SIGV4_H
#define SIM_SIGV4_H

#include "http.h"

/* NULL when the request is signed with keys ("ID:SECRET"), else a static text that says what is
 * wrong. Dates are not compared with a clock: recorded requests stay valid. */
const char *sigv4_fault(const struct request *r, const char *keys);

#endif
