/* Faults of the disk and of the clocks, for one process and on order: loaded before libc (LD_PRELOAD), it stands
 * between the process and what it asks of its files and of its clocks. The orders are in a file that is mapped here and
 * written by the test (`harness/faults.rs`, which has the same layout); what they led to is counted there.
 *
 * A clock that jumps is seen by whoever reads it. Whoever waits, waits for as long as was asked for: all waits of the
 * server are relative, and the kernel knows nothing of the jump. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Which files: bits of a set. */
enum { LOG = 1, SNAPSHOTS = 2, OTHERS = 4 };

struct orders {
    /* How much longer each sync and each write takes. */
    uint64_t sync_delay_us;
    uint64_t write_delay_us;
    /* Syncs and writes of these files do not end as long as that is so. */
    uint64_t hung;
    /* There is no room for more in these files. */
    uint64_t full;
    /* The next sync of such a file fails, once: the kernel does not report it a second time either. */
    uint64_t sync_errors;
    /* By how much the clocks are wrong. The monotonic one must never be set back. */
    int64_t wall_ms;
    int64_t monotonic_ms;
    /* What was done so far. */
    uint64_t delayed;
    uint64_t held_up;
    uint64_t refused;
    uint64_t failed;
};

static volatile struct orders *orders;

static void give_up(const char *why) {
    dprintf(STDERR_FILENO, "the faults of this process: %s: %s\n", why, strerror(errno));
    abort();
}

__attribute__((constructor)) static void take_orders(void) {
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) give_up("FAULTS does not name their file");
    void *place = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED) give_up("their file cannot be mapped");
    close(fd);
    orders = place;
}

static void count(volatile uint64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST); }

static void sleep_us(uint64_t us) {
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* What kind of file it is, by its name. */
static uint64_t kind_of(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return OTHERS;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    if (name && strncmp(name, "/log-", 5) == 0) return LOG;
    if (name && strncmp(name, "/snap-", 6) == 0) return SNAPSHOTS;
    return OTHERS;
}

static void hold_up(int fd, uint64_t delay_us) {
    if (!orders) return;
    if (delay_us) {
        count(&orders->delayed);
        sleep_us(delay_us);
    }
    if (orders->hung && (orders->hung & kind_of(fd))) {
        count(&orders->held_up);
        while (orders->hung & kind_of(fd)) sleep_us(1000);
    }
}

static int is_full(int fd) {
    if (!orders || !orders->full || !(orders->full & kind_of(fd))) return 0;
    count(&orders->refused);
    errno = ENOSPC;
    return 1;
}

/* ---- Files --------------------------------------------------------------------------------------------------------*/

static int sync_file(int fd, long call) {
    hold_up(fd, orders ? orders->sync_delay_us : 0);
    if (orders && orders->sync_errors) {
        uint64_t kind = kind_of(fd);
        if (__atomic_fetch_and(&orders->sync_errors, ~kind, __ATOMIC_SEQ_CST) & kind) {
            count(&orders->failed);
            errno = EIO;
            return -1;
        }
    }
    return syscall(call, fd);
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* Room that was reserved stays: only what makes a file longer finds none. */
static int is_beyond(int fd, const struct iovec *parts, int count, off_t offset) {
    struct stat file;
    if (fstat(fd, &file) != 0) return 0;
    for (int part = 0; part < count; part++) offset += parts[part].iov_len;
    return offset > file.st_size;
}

static ssize_t write_file(int fd, const struct iovec *parts, int count, off_t offset) {
    hold_up(fd, orders ? orders->write_delay_us : 0);
    if (orders && orders->full && is_beyond(fd, parts, count, offset) && is_full(fd)) return -1;
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_file(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return write_file(fd, parts, count, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return is_full(fd) ? -1 : syscall(SYS_fallocate, fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }

/* ---- Clocks -------------------------------------------------------------------------------------------------------*/

static void move(struct timespec *time, int64_t ms) {
    int64_t ns = time->tv_nsec + ms % 1000 * 1000000;
    time->tv_sec += ms / 1000 + ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
    if (time->tv_nsec < 0) {
        time->tv_nsec += 1000000000;
        time->tv_sec -= 1;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result != 0 || !orders) return result;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        move(time, orders->wall_ms);
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        move(time, orders->monotonic_ms);
        break;
    }
    return result;
}
