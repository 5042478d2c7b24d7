/* sim/buf.h -- a growing byte buffer and borrowed bytes.
 *
 * The simulator is a test tool: when memory runs out it stops, so nothing here fails. A zeroed buf
 * is empty and valid; the bytes are owned by it and freed by buf_free().
 */
#ifndef SIM_BUF_H
#define SIM_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *ptr; /* borrowed */
    size_t len;
};

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})

void *xmalloc(size_t n);  /* never NULL */
void *xzalloc(size_t n);  /* zeroed, never NULL */
char *xdup(struct str s); /* NUL-terminated, owned by the caller */

void buf_free(struct buf *b);
void buf_room(struct buf *b, size_t more); /* afterwards cap - len >= more */
void buf_add(struct buf *b, const void *ptr, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_put(struct buf *b, struct str s);
void buf_repeat(struct buf *b, char c, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_json(struct buf *b, struct str s); /* s as a JSON string, quotes included */
void buf_base64(struct buf *b, const void *ptr, size_t len);
void buf_drop(struct buf *b, size_t n); /* the first n bytes go */

struct str buf_view(const struct buf *b);
bool str_is(struct str s, const char *lit);
bool str_is_nocase(struct str s, const char *lit);
uint64_t str_hash(struct str s, uint64_t seed); /* fast, not for hostile input */

#endif
