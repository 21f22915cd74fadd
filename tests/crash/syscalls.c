/* The file operations of one process under one folder: counted, killed at, failed, or written down.
 *
 * Preloaded into a process (LD_PRELOAD), it stands between Python and HDF5 on one side and the C library
 * on the other. Only operations that change files below the folder count. Set by the environment
 * (SYSCALLS_FOLDER, SYSCALLS_KILL_AFTER, SYSCALLS_FAIL_FROM, SYSCALLS_FAIL_COUNT, SYSCALLS_FAIL_ERRNO,
 * SYSCALLS_TRACE) or, after a fork, by syscalls_configure(). Numbers begin at 1; 0 means never.
 *
 *     cc -shared -fPIC -O1 -o syscalls.so syscalls.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long kill_after, fail_from, fail_count, done;
static int fail_errno = ENOSPC, trace = -1, short_writes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void syscalls_configure(const char *where, long kill, long from, long count, int number, const char *log) {
    snprintf(folder, sizeof folder, "%s", where ? where : "");
    kill_after = kill, fail_from = from, fail_count = count, done = 0;
    fail_errno = number ? number : ENOSPC;
    if (trace >= 0) REAL(close)(trace);
    trace = log && *log ? REAL(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
}

long syscalls_done(void) { return done; }

/* A write that is the first to fail stores half of its bytes instead. 1: and the next operation fails, as on
 * a disk that is filling up; 2: and all is well again; nothing else fails then. */
void syscalls_short(int mode) { short_writes = mode; }

/* A line of the caller's own in the trace: what it had promised at that point. */
void syscalls_mark(const char *text) {
    char line[512];
    int length = snprintf(line, sizeof line, "mark - 0 %zu\n%s\n", strlen(text), text);
    pthread_mutex_lock(&lock);
    if (trace >= 0 && REAL(write)(trace, line, length) != length) abort();
    pthread_mutex_unlock(&lock);
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

__attribute__((constructor)) static void begin(void) {
    syscalls_configure(getenv("SYSCALLS_FOLDER"), number("SYSCALLS_KILL_AFTER"), number("SYSCALLS_FAIL_FROM"),
                       number("SYSCALLS_FAIL_COUNT"), (int)number("SYSCALLS_FAIL_ERRNO"), getenv("SYSCALLS_TRACE"));
}

static int watched(const char *path) {
    size_t length = strlen(folder);
    return length && strncmp(path, folder, length) == 0;
}

static int path_of(int descriptor, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return watched(path);
}

/* Before an operation: 0 to go on, or the errno it must fail with. */
static int before(void) {
    long n = __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    if (fail_from && short_writes != 2 && n >= fail_from && (!fail_count || n < fail_from + fail_count)) return fail_errno;
    return 0;
}

static void after(void) {
    if (kill_after && done >= kill_after) {
        raise(SIGKILL);
        pause();
    }
}

static void note(const char *what, const char *path, long long offset, const void *data, size_t length) {
    if (trace < 0) return;
    char head[8448];
    int size = snprintf(head, sizeof head, "%s %s %lld %zu\n", what, path, offset, length);
    struct iovec parts[3] = {{head, size}, {(void *)data, length}, {"\n", 1}};
    pthread_mutex_lock(&lock);
    if (REAL(writev)(trace, parts, 3) != (ssize_t)(size + length + 1)) abort();
    pthread_mutex_unlock(&lock);
}

/* What a sync makes durable of a mapped file is no write: its content is noted whole. */
static void note_sync(const char *path) {
    const char *content = "";
    size_t length = 0;
    struct stat about;
    int descriptor = -1;
    size_t name = strlen(path);
    if (trace >= 0 && name > 5 && strcmp(path + name - 5, ".ring") == 0) {
        descriptor = REAL(open64)(path, O_RDONLY | O_CLOEXEC);
        if (descriptor >= 0 && fstat(descriptor, &about) == 0 && about.st_size) {
            length = about.st_size;
            content = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
        }
    }
    note("sync", path, 0, content, length);
    if (length) munmap((void *)content, length);
    if (descriptor >= 0) REAL(close)(descriptor);
}

/* The file's end of what has its room on the disk already: a disk that fills up takes all of that, or none. */
static off64_t room;

static int is_data(const char *path) {
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".h5") == 0;
}

static size_t shortened(const char *path, off64_t offset, size_t length) {
    if (!short_writes || length < 2 || done + 1 != fail_from) return length;
    int there = is_data(path) && (!offset || offset + (off64_t)length <= room);
    if (short_writes == 1 && there) return length;
    if (short_writes == 1) fail_from++; else fail_from = 0;
    return length / 2;
}

#define CHANGE(type, call, what, path, offset, data, length)          \
    do {                                                              \
        int error = before();                                         \
        if (error) { errno = error; return -1; }                      \
        type result = call;                                           \
        int saved = errno;                                            \
        if (result >= 0) note(what, path, offset, data, length);      \
        after();                                                      \
        errno = saved;                                                \
        return result;                                                \
    } while (0)

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return REAL(pwrite64)(fd, data, length, offset);
    length = shortened(path, offset, length);
    CHANGE(ssize_t, REAL(pwrite64)(fd, data, length, offset), "write", path, (long long)offset, data, result);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    char path[4096];
    if (fd == trace || !path_of(fd, path, sizeof path)) return REAL(write)(fd, data, length);
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    length = shortened(path, at, length);
    CHANGE(ssize_t, REAL(write)(fd, data, length), "write", path, (long long)at, data, result);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return REAL(pwritev64)(fd, parts, count, offset);
    size_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    char *data = malloc(total + 1), *to = data;
    for (int i = 0; i < count; i++) to = (char *)memcpy(to, parts[i].iov_base, parts[i].iov_len) + parts[i].iov_len;
    ssize_t result = pwrite64(fd, data, total, offset);
    free(data);
    return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }

int ftruncate64(int fd, off64_t size) {
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return REAL(ftruncate64)(fd, size);
    CHANGE(int, REAL(ftruncate64)(fd, size), "truncate", path, (long long)size, "", 0);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return REAL(posix_fallocate64)(fd, offset, size);
    int error = before();
    if (error) return error;
    int result = REAL(posix_fallocate64)(fd, offset, size);
    if (!result && is_data(path) && offset + size > room) room = offset + size;
    if (!result) note("truncate", path, (long long)(offset + size), "", 0);
    after();
    return result;
}

int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

int fsync(int fd) {
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return REAL(fsync)(fd);
    int error = before();
    if (error) { errno = error; return -1; }
    int result = REAL(fsync)(fd);
    if (!result) note_sync(path);
    after();
    return result;
}

int fdatasync(int fd) { return fsync(fd); }

static int is_new(const char *path) {
    struct stat about;
    return watched(path) && stat(path, &about) != 0;
}

static int opened(int descriptor, const char *path, int flags, int new) {
    int saved = errno;
    if (descriptor >= 0 && watched(path) && (new || flags & O_TRUNC)) {
        note(new ? "create" : "truncate", path, 0, "", 0);
        after();
    }
    errno = saved;
    return descriptor;
}

int openat64(int at, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    int new = flags & O_CREAT && is_new(path);
    if (new || (flags & O_TRUNC && watched(path))) {
        int error = before();
        if (error) { errno = error; return -1; }
    }
    return opened(REAL(openat64)(at, path, flags, mode), path, flags, new);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return openat64(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return openat64(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return openat64(at, path, flags, mode);
}

int unlink(const char *path) {
    if (!watched(path)) return REAL(unlink)(path);
    CHANGE(int, REAL(unlink)(path), "unlink", path, 0, "", 0);
}

int rename(const char *old, const char *new) {
    if (!watched(new)) return REAL(rename)(old, new);
    CHANGE(int, REAL(rename)(old, new), "rename", old, 0, new, strlen(new));
}

int link(const char *old, const char *new) {
    if (!watched(new)) return REAL(link)(old, new);
    CHANGE(int, REAL(link)(old, new), "link", old, 0, new, strlen(new));
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (!watched(new)) return REAL(linkat)(from, old, to, new, flags);
    CHANGE(int, REAL(linkat)(from, old, to, new, flags), "link", old, 0, new, strlen(new));
}

int mkdir(const char *path, mode_t mode) {
    if (!watched(path)) return REAL(mkdir)(path, mode);
    CHANGE(int, REAL(mkdir)(path, mode), "mkdir", path, 0, "", 0);
}
