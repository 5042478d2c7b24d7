/* wire/json.h -- yyjson under our rules: depth and grammar checked before anything is built, all
 * memory from an arena, numbers kept as they were spelled.
 *
 * A tree is for bodies that must be translated; what only passes is read by wire/spans.h. A hostile
 * body makes the tree grow to about ten times its size: the arena's cap ends that in E_LIMIT.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"
#include "wire/spans.h"

#include <yyjson.h>

/* *out_root lives as long as the arena. E_SYNTAX (out_fault says where; invalid UTF-8 too), E_LIMIT
 * (depth, or the arena's cap). out_fault may be NULL. */
MUST_USE enum err json_parse(struct arena *a, struct slice text, yyjson_val **out_root,
                             struct span_fault *out_fault) __attribute__((nonnull(1, 3)));
/* The same for text that spans_scan() or spans_check() has found good. */
MUST_USE enum err json_parse_checked(struct arena *a, struct slice text, yyjson_val **out_root,
                                     struct span_fault *out_fault) __attribute__((nonnull(1, 3)));

/* The member, or NULL; obj may be NULL or of any kind. Of duplicates the first. */
yyjson_val *json_get(yyjson_val *obj, const char *name);
/* The string's bytes (may hold NUL); ptr NULL when v is NULL or no string. */
struct slice json_string(yyjson_val *v);
/* json_string() of a member. */
struct slice json_get_string(yyjson_val *obj, const char *name);
/* A number as spelled; ptr NULL when v is NULL or no number. */
struct slice json_number(yyjson_val *v);
/* An integer that fits, spelled without fraction or exponent. */
bool json_i64(yyjson_val *v, int64_t *out);
bool json_is_true(yyjson_val *v);
/* NULL or JSON null. */
bool json_is_none(yyjson_val *v);

/* The members of obj whose names are not among these and that are not null, as an object; empty
 * where there are none, also when obj is NULL. False: no memory. */
MUST_USE bool json_other_members(struct arena *a, yyjson_val *obj, const char *const *names,
                                 size_t count, struct slice *out) __attribute__((nonnull(1, 5)));

/* The value as compact JSON text in the arena; ptr NULL when memory ends. */
struct slice json_text(struct arena *a, yyjson_val *v) __attribute__((nonnull(1)));
/* Appends the value as compact JSON; scratch holds a copy meanwhile. */
void json_add(struct text *t, struct arena *scratch, yyjson_val *v) __attribute__((nonnull(1, 2)));

#endif
