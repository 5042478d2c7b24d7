#define _GNU_SOURCE
#include "multipart.h"

#include <string.h>
#include <strings.h>

enum { BOUNDARY_MAX_BYTES = 70 };

/* The value of name= in a header's parameters, without its quotes. */
static struct str parameter(struct str header, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 1; i + len < header.len; i++) {
        bool starts = header.ptr[i - 1] == ' ' || header.ptr[i - 1] == ';';
        if (!starts || strncasecmp(header.ptr + i, name, len) != 0 || header.ptr[i + len] != '=') {
            continue;
        }
        struct str v = {header.ptr + i + len + 1, header.len - i - len - 1};
        bool quoted = v.len > 0 && v.ptr[0] == '"';
        v = quoted ? (struct str){v.ptr + 1, v.len - 1} : v;
        const char *end = memchr(v.ptr, quoted ? '"' : ';', v.len);
        return (struct str){v.ptr, end != NULL ? (size_t)(end - v.ptr) : v.len};
    }
    return (struct str){NULL, 0};
}

static void take_header(struct form_part *part, struct str line)
{
    static const char disposition[] = "content-disposition:";
    static const char type[] = "content-type:";
    if (line.len > sizeof(disposition) &&
        strncasecmp(line.ptr, disposition, sizeof(disposition) - 1) == 0) {
        part->name = parameter(line, "name");
        part->filename = parameter(line, "filename");
    } else if (line.len > sizeof(type) && strncasecmp(line.ptr, type, sizeof(type) - 1) == 0) {
        part->type = (struct str){line.ptr + sizeof(type), line.len - sizeof(type)};
    }
}

/* at stands behind a boundary line; the part's data ends before the next boundary. */
static bool take_part(struct form_part *part, struct str *rest, struct str boundary)
{
    *part = (struct form_part){0};
    for (;;) {
        const char *eol = memmem(rest->ptr, rest->len, "\r\n", 2);
        if (eol == NULL) {
            return false;
        }
        struct str line = {rest->ptr, (size_t)(eol - rest->ptr)};
        *rest = (struct str){eol + 2, rest->len - line.len - 2};
        if (line.len == 0) {
            break;
        }
        take_header(part, line);
    }
    const char *end = memmem(rest->ptr, rest->len, boundary.ptr, boundary.len);
    if (end == NULL) {
        return false;
    }
    part->data = (struct str){rest->ptr, (size_t)(end - rest->ptr)};
    size_t used = part->data.len + boundary.len;
    *rest = (struct str){rest->ptr + used, rest->len - used};
    return true;
}

bool form_parse(struct form *form, struct str content_type, struct str body)
{
    static const char kind[] = "multipart/form-data";
    char line[BOUNDARY_MAX_BYTES + 5] = "\r\n--";
    form->n = 0;
    if (content_type.len < sizeof(kind) ||
        strncasecmp(content_type.ptr, kind, sizeof(kind) - 1) != 0) {
        return false;
    }
    struct str b = parameter(content_type, "boundary");
    if (b.len == 0 || b.len > BOUNDARY_MAX_BYTES) {
        return false;
    }
    memcpy(line + 4, b.ptr, b.len);
    struct str boundary = {line, b.len + 4};
    /* The first boundary may stand at the very start, without the line end before it. */
    if (body.len < b.len + 2 || memcmp(body.ptr, line + 2, b.len + 2) != 0) {
        return false;
    }
    struct str rest = {body.ptr + b.len + 2, body.len - b.len - 2};
    while (rest.len >= 2 && memcmp(rest.ptr, "\r\n", 2) == 0 && form->n < FORM_PARTS_MAX) {
        rest = (struct str){rest.ptr + 2, rest.len - 2};
        if (!take_part(&form->parts[form->n], &rest, boundary)) {
            return false;
        }
        form->n++;
    }
    return rest.len >= 2 && memcmp(rest.ptr, "--", 2) == 0;
}

const struct form_part *form_find(const struct form *form, const char *name)
{
    for (size_t i = 0; form != NULL && i < form->n; i++) {
        if (str_is(form->parts[i].name, name)) {
            return &form->parts[i];
        }
    }
    return NULL;
}

struct str form_text(const struct form *form, const char *name)
{
    const struct form_part *part = form_find(form, name);
    return part != NULL ? part->data : STR("");
}
