/* A disk that fails on request: preloaded under SQLite and Python, it stands before libc's calls.
 *
 * Only files of one folder are concerned (by their names' beginning). The rules live in a control
 * file that both the process under test and the test have mapped; see faulty_disk.py, which owns
 * the layout. With a history file every write is kept twice, the bytes it replaced and its own,
 * and every sync is marked: a power cut is made from it by dropping what no sync has covered.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_WRITE = 1, CALL_SYNC = 2, CALL_TRUNCATE = 4, SYNC_FAILED = 8 };
enum { FAIL = 1, FAIL_TORN = 2, KILL_BEFORE = 3, KILL_TORN = 4, KILL_AFTER = 5 };

struct rule {
    int32_t calls;  /* which kinds of call; 0: this rule is empty */
    int32_t action;
    int32_t error;  /* the errno of FAIL and FAIL_TORN */
    int32_t skip;   /* so many matching calls pass first */
    int32_t times;  /* then so many are hit; -1: all of them */
    int32_t hits;
    char name[40];  /* how the file's name begins */
};

struct control {
    int32_t writes, syncs, truncates;
    int32_t mute; /* nothing leaves over TCP any more: it stays in ZeroMQ's queue */
    char folder[256];
    struct rule rules[4];
};

struct record {
    int32_t kind; /* CALL_WRITE, CALL_SYNC, CALL_TRUNCATE or SYNC_FAILED */
    int32_t old_length, new_length, unused;
    int64_t offset, old_size;
    char name[64];
};

static struct control *control;
static int history = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static ssize_t (*real_send)(int, const void *, size_t, int);

__attribute__((constructor)) static void find_the_real_ones(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_send = dlsym(RTLD_NEXT, "send");
}

/* Begin; 0, or -1 with errno. An empty history path keeps none. */
int faulty_disk_attach(const char *control_path, const char *history_path) {
    int file = open(control_path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return -1;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED)
        return -1;
    if (*history_path) {
        history = open(history_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (history < 0)
            return -1;
    }
    control = mapped;
    return 0;
}

/* Return the file's name within the folder, or NULL if it is none of ours. */
static const char *ours(int fd, char *path) {
    char link[64];
    if (control == NULL || fd == history)
        return NULL;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = saved;
    if (length <= 0)
        return NULL;
    path[length] = 0;
    size_t folder = strlen(control->folder);
    if (folder == 0 || strncmp(path, control->folder, folder) != 0 || path[folder] != '/')
        return NULL;
    const char *name = path + folder + 1;
    return strchr(name, '/') == NULL ? name : NULL;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Count the call and return the action that hits it, 0 for none. */
static int judge(int call, const char *name, int *error) {
    int32_t *count = call == CALL_WRITE  ? &control->writes
                     : call == CALL_SYNC ? &control->syncs
                                         : &control->truncates;
    __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < sizeof control->rules / sizeof control->rules[0]; i++) {
        struct rule *rule = &control->rules[i];
        if (!(rule->calls & call) || strncmp(name, rule->name, strlen(rule->name)) != 0)
            continue;
        if (__atomic_fetch_sub(&rule->skip, 1, __ATOMIC_SEQ_CST) > 0)
            continue;
        __atomic_store_n(&rule->skip, 0, __ATOMIC_SEQ_CST);
        if (rule->times >= 0 && rule->hits >= rule->times)
            continue;
        __atomic_add_fetch(&rule->hits, 1, __ATOMIC_SEQ_CST);
        *error = rule->error;
        return rule->action;
    }
    return 0;
}

static void put(const void *bytes, size_t length) {
    const char *from = bytes;
    while (length > 0) {
        ssize_t done = real_write(history, from, length);
        if (done <= 0)
            abort();
        from += done;
        length -= (size_t)done;
    }
}

/* Write down what a call is about to change, or that a sync has covered all before it. */
static void keep(int call, const char *name, int fd, off_t offset, const void *new, size_t length) {
    if (history < 0)
        return;
    struct stat now;
    struct record record = {.kind = call, .offset = offset, .new_length = (int32_t)length};
    char path[64];
    if (fstat(fd, &now) != 0)
        return;
    record.old_size = now.st_size;
    strncpy(record.name, name, sizeof record.name - 1);
    off_t end = call == CALL_TRUNCATE ? now.st_size : offset + (off_t)length;
    off_t most = now.st_size < end ? now.st_size : end;
    int changes = call == CALL_WRITE || call == CALL_TRUNCATE;
    size_t old = changes && most > offset ? (size_t)(most - offset) : 0;
    void *before = old ? malloc(old) : NULL;
    if (before != NULL) {
        /* The descriptor may be write-only: read through one of our own. */
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int reader = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = reader < 0 ? -1 : pread(reader, before, old, offset);
        if (reader >= 0)
            close(reader);
        if (got < 0)
            got = 0;
        record.old_length = (int32_t)got;
    }
    pthread_mutex_lock(&turn);
    put(&record, sizeof record);
    if (record.old_length)
        put(before, (size_t)record.old_length);
    if (length)
        put(new, length);
    pthread_mutex_unlock(&turn);
    free(before);
}

static off_t place_of(int fd) {
    struct stat now;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &now) == 0 ? now.st_size : 0;
    return lseek(fd, 0, SEEK_CUR);
}

static ssize_t do_write(int fd, const void *from, size_t length, off_t offset, int positioned) {
    return positioned ? real_pwrite(fd, from, length, offset) : real_write(fd, from, length);
}

static ssize_t faulty_write(int fd, const void *from, size_t length, off_t offset, int positioned) {
    char path[PATH_MAX];
    int error = 0;
    const char *name = ours(fd, path);
    if (name == NULL)
        return do_write(fd, from, length, offset, positioned);
    if (!positioned)
        offset = place_of(fd);
    int action = judge(CALL_WRITE, name, &error);
    size_t part = action == FAIL_TORN || action == KILL_TORN ? length / 2 : length;
    if (action == KILL_BEFORE)
        die();
    if (action != FAIL) {
        keep(CALL_WRITE, name, fd, offset, from, part);
        ssize_t done = do_write(fd, from, part, offset, positioned);
        if (action == KILL_TORN || action == KILL_AFTER)
            die();
        if (action != FAIL_TORN)
            return done;
    }
    errno = error;
    return -1;
}

ssize_t write(int fd, const void *from, size_t length) {
    return faulty_write(fd, from, length, 0, 0);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset) {
    return faulty_write(fd, from, length, offset, 1);
}

ssize_t pwrite64(int fd, const void *from, size_t length, off_t offset) {
    return faulty_write(fd, from, length, offset, 1);
}

static int faulty_sync(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    int error = 0;
    const char *name = ours(fd, path);
    if (name == NULL)
        return real(fd);
    int action = judge(CALL_SYNC, name, &error);
    if (action == KILL_BEFORE || action == KILL_TORN)
        die();
    if (action == FAIL || action == FAIL_TORN) {
        /* Linux may mark the pages clean all the same: no later sync covers them. */
        keep(SYNC_FAILED, name, fd, 0, NULL, 0);
        errno = error;
        return -1;
    }
    int done = real(fd);
    if (done == 0)
        keep(CALL_SYNC, name, fd, 0, NULL, 0);
    if (action == KILL_AFTER)
        die();
    return done;
}

int fsync(int fd) { return faulty_sync(fd, real_fsync); }

int fdatasync(int fd) { return faulty_sync(fd, real_fdatasync); }

int ftruncate(int fd, off_t length) {
    char path[PATH_MAX];
    int error = 0;
    const char *name = ours(fd, path);
    if (name == NULL)
        return real_ftruncate(fd, length);
    int action = judge(CALL_TRUNCATE, name, &error);
    if (action == KILL_BEFORE || action == KILL_TORN)
        die();
    if (action == FAIL || action == FAIL_TORN) {
        errno = error;
        return -1;
    }
    keep(CALL_TRUNCATE, name, fd, length, NULL, 0);
    int done = real_ftruncate(fd, length);
    if (action == KILL_AFTER)
        die();
    return done;
}

int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

ssize_t send(int fd, const void *from, size_t length, int flags) {
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;
    if (control == NULL || !__atomic_load_n(&control->mute, __ATOMIC_SEQ_CST))
        return real_send(fd, from, length, flags);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    if (domain == AF_UNIX)
        return real_send(fd, from, length, flags);
    errno = EAGAIN;
    return -1;
}
