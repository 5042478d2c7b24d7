/* sim/schema.h -- a small value that satisfies the required members of a JSON schema. */
#ifndef SIM_SCHEMA_H
#define SIM_SCHEMA_H

#include "buf.h"

#include <yyjson.h>

/* NULL or a schema that is not understood gives {}. text is what string members say. References
 * into $defs and definitions of root are followed; depth is bounded. */
void schema_sample(struct buf *out, yyjson_val *schema, struct str text);

#endif
