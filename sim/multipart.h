/* sim/multipart.h -- the parts of a multipart/form-data body, borrowed from it. */
#ifndef SIM_MULTIPART_H
#define SIM_MULTIPART_H

#include "buf.h"

enum { FORM_PARTS_MAX = 64 };

struct form_part {
    struct str name;
    struct str filename; /* NULL ptr: a field, not a file */
    struct str type;
    struct str data;
};

struct form {
    struct form_part parts[FORM_PARTS_MAX];
    size_t n;
};

/* False when content_type is no form's or the body is not framed as RFC 7578 says. */
bool form_parse(struct form *form, struct str content_type, struct str body);

/* The first part of that name, or NULL. form may be NULL. */
const struct form_part *form_find(const struct form *form, const char *name);
struct str form_text(const struct form *form, const char *name); /* "" when there is none */

#endif
