/* Logs what is done to the files of one directory: LD_PRELOAD this, name the directory in PLANCHER_CUT_ROOT
 * and the log in PLANCHER_CUT_LOG. Each call is carried out first, then logged if it succeeded, under one
 * lock, so that the log has the order of the disk. `op_log.py` reads the log; the layout is described there. What
 * is written into memory maps is not seen: SQLite's -shm alone, which it rebuilds after a crash. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096

struct entry {
    uint8_t kind;
    int32_t file;
    int64_t offset;
    uint32_t size;
} __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char tracked[FILES];
static int log_file = -1;
static const char *root;
static size_t root_size;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        _exit(97);
    return found;
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("PLANCHER_CUT_ROOT");
    const char *path = getenv("PLANCHER_CUT_LOG");
    if (!root || !path)
        return;
    root_size = strlen(root);
    log_file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_file < 0)
        _exit(97);
}

static void put(const void *data, size_t size) {
    const char *rest = data;
    while (size) {
        ssize_t done = syscall(SYS_write, log_file, rest, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            _exit(97); /* a log with a hole would prove nothing */
        rest += done;
        size -= done;
    }
}

static void record(char kind, int file, int64_t offset, const void *data, size_t size) {
    struct entry head = {kind, file, offset, size};
    int before = errno;
    put(&head, sizeof head);
    put(data, size);
    errno = before;
}

/* Whether a path, as it was given, lies in the directory that is watched. */
static int inside(const char *path) {
    return log_file >= 0 && path && !strncmp(path, root, root_size) &&
           (path[root_size] == '/' || !path[root_size]);
}

static int watched(int file) { return log_file >= 0 && file >= 0 && file < FILES && tracked[file]; }

/* The path from the root of one that is relative to an open directory. */
static const char *whole(int directory, const char *path, char *place, size_t size) {
    if (directory == AT_FDCWD || *path == '/')
        return path;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, place, size);
    if (length < 0 || length + 1 + strlen(path) >= size)
        return path;
    snprintf(place + length, size - length, "/%s", path);
    return place;
}

static int opened(int directory, const char *given, int flags, mode_t mode) {
    char place[PATH_MAX];
    const char *path = whole(directory, given, place, sizeof place);
    if (!inside(path))
        return syscall(SYS_openat, directory, path, flags, mode);
    struct stat before;
    pthread_mutex_lock(&lock);
    int there = !stat(path, &before);
    int file = syscall(SYS_openat, directory, path, flags, mode);
    if (file >= FILES)
        _exit(97);
    if (file >= 0) {
        tracked[file] = 1;
        record(there ? 'O' : 'N', file, 0, path, strlen(path));
        if (there && (flags & O_TRUNC) && S_ISREG(before.st_mode))
            record('T', file, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return file;
}

#define OPEN_WITH_MODE(call)                                                                                 \
    mode_t mode = 0;                                                                                         \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                     \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        mode = va_arg(rest, mode_t);                                                                         \
        va_end(rest);                                                                                        \
    }                                                                                                        \
    return call

int open(const char *path, int flags, ...) { OPEN_WITH_MODE(opened(AT_FDCWD, path, flags, mode)); }
int open64(const char *path, int flags, ...) { OPEN_WITH_MODE(opened(AT_FDCWD, path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { OPEN_WITH_MODE(opened(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { OPEN_WITH_MODE(opened(at, path, flags, mode)); }

int close(int file) {
    pthread_mutex_lock(&lock);
    if (watched(file)) {
        tracked[file] = 0;
        record('C', file, 0, "", 0);
    }
    int done = syscall(SYS_close, file);
    pthread_mutex_unlock(&lock);
    return done;
}

static ssize_t written_at(int file, const void *data, size_t size, off_t at) {
    if (!watched(file))
        return syscall(SYS_pwrite64, file, data, size, at);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, file, data, size, at);
    if (done > 0)
        record('W', file, at, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return written_at(file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) { return written_at(file, data, size, at); }

ssize_t write(int file, const void *data, size_t size) {
    if (!watched(file))
        return syscall(SYS_write, file, data, size);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, file, data, size);
    if (done > 0)
        record('W', file, syscall(SYS_lseek, file, 0, SEEK_CUR) - done, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = next("writev");
    if (!watched(file))
        return real(file, parts, count);
    return write(file, parts[0].iov_base, parts[0].iov_len); /* a short write, which callers must expect */
}

static int synced(int file, long call) {
    if (!watched(file))
        return syscall(call, file);
    pthread_mutex_lock(&lock);
    /* Not carried out: the log alone decides what would have been on the disk. */
    record('S', file, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }

static int cut_to(int file, off_t size) {
    if (!watched(file))
        return syscall(SYS_ftruncate, file, size);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, file, size);
    if (!done)
        record('T', file, size, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int file, off_t size) { return cut_to(file, size); }
int ftruncate64(int file, off64_t size) { return cut_to(file, size); }

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real)
        real = next("rename");
    if (!inside(from) || !inside(to))
        return real(from, to);
    char both[8192];
    int size = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    if (size >= (int)sizeof both)
        _exit(97);
    pthread_mutex_lock(&lock);
    int done = real(from, to);
    if (!done)
        record('R', -1, 0, both, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real)
        real = next("unlink");
    if (!inside(path))
        return real(path);
    pthread_mutex_lock(&lock);
    int done = real(path);
    if (!done)
        record('U', -1, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return done;
}
