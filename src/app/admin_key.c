#include "app/admin_key.h"

#include "auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADMIN_KEY_FILE_MAX_BYTES = 256, PATH_BYTES = 4096 };

static bool file_path(const struct gateway_conf *conf, char *out)
{
    int len = snprintf(out, PATH_BYTES, "%.*s/admin.key", SLICE_ARG(conf->data_dir));
    return len > 0 && len < PATH_BYTES;
}

/* The key in the file, or an empty slice when there is no file. */
static enum err read_key(const char *path, char *room, struct slice *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        *out = SLICE_NONE;
        return errno == ENOENT ? OK : E_IO;
    }
    struct stat st;
    ssize_t n = read(fd, room, ADMIN_KEY_FILE_MAX_BYTES);
    bool is_private = fstat(fd, &st) == 0 && (st.st_mode & 077) == 0;
    (void)close(fd);
    if (n < 0 || !is_private) {
        errno = n < 0 ? errno : EPERM;
        return E_IO;
    }
    *out = slice_trim(slice_of(room, (size_t)n));
    return OK;
}

static enum err make_key(const char *path, char *room, struct slice *out)
{
    auth_key_make(room);
    room[AUTH_KEY_BYTES] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return E_IO;
    }
    bool is_written = write(fd, room, AUTH_KEY_BYTES + 1) == AUTH_KEY_BYTES + 1 && fsync(fd) == 0;
    (void)close(fd);
    *out = slice_of(room, AUTH_KEY_BYTES);
    return is_written ? OK : E_IO;
}

enum err admin_key_ready(const struct gateway_conf *conf, struct sha256 *out_hash, bool *out_is_new,
                         char *why, size_t why_cap)
{
    char path[PATH_BYTES];
    char room[ADMIN_KEY_FILE_MAX_BYTES];
    struct slice key;
    *out_is_new = false;
    if (conf->admin_key.len) {
        *out_hash = auth_key_hash(secret_slice(&conf->admin_key));
        return OK;
    }
    if (!file_path(conf, path)) {
        (void)snprintf(why, why_cap, "DATA_DIR is too long");
        return E_LIMIT;
    }
    enum err e = read_key(path, room, &key);
    if (e == OK && key.len == 0) {
        e = make_key(path, room, &key);
        *out_is_new = e == OK;
    }
    if (e == OK) {
        *out_hash = auth_key_hash(key);
    } else {
        (void)snprintf(why, why_cap, "%s: %s", path,
                       errno == EPERM
                           ? "others can read it; chmod 600 it, or remove it to get a new key"
                           : strerrordesc_np(errno));
    }
    secret_wipe(room, sizeof(room));
    return e;
}

void admin_key_announce(const struct gateway_conf *conf)
{
    char path[PATH_BYTES];
    char room[ADMIN_KEY_FILE_MAX_BYTES];
    struct slice key;
    if (conf->admin_key.len || !file_path(conf, path)) {
        return;
    }
    if (!isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "llm-gateway: an admin key was made; it is in %s\n", path);
        return;
    }
    if (read_key(path, room, &key) == OK && key.len) {
        (void)fprintf(stderr, "\n  Admin key, shown this once (kept in %s):\n\n    %.*s\n\n", path,
                      SLICE_ARG(key));
    }
    secret_wipe(room, sizeof(room));
}
