/* Preloaded into a program under test: its wall clock is off by what a file says, and may be set meanwhile.
 *
 * The file of WRONG_CLOCK holds two 64-bit numbers: nanoseconds added to the wall clock, and whether adjtimex
 * is to say that the clock is synchronised. Kernel stamps of packets are moved alike. CLOCK_MONOTONIC and
 * CLOCK_BOOTTIME stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

/* Constructors of other libraries may ask for the time before ours has run: theirs is the machine's. */
static const int64_t unmoved[2] = {0, 1};
static volatile const int64_t *told = unmoved;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0)
        abort();
    void *shared = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        abort();
    close(file);
    told = shared;
    real_recvmsg = dlsym(RTLD_NEXT, "recvmsg");
}

static void move(struct timespec *when)
{
    int64_t ns;
    if (!when->tv_sec && !when->tv_nsec)
        return;
    ns = when->tv_sec * SECOND + when->tv_nsec + told[0];
    when->tv_sec = ns / SECOND;
    when->tv_nsec = ns % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *when)
{
    if (!real_clock_gettime)
        real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, when);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(when);
    return result;
}

int gettimeofday(struct timeval *restrict when, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    when->tv_sec = now.tv_sec;
    when->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *when)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (when)
        *when = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *state)
{
    state->status = told[1] ? 0 : STA_UNSYNC;
    state->maxerror = told[1] ? 20000 : 16000000;
    return told[1] ? TIME_OK : TIME_ERROR;
}

ssize_t recvmsg(int file, struct msghdr *message, int flags)
{
    ssize_t size = real_recvmsg(file, message, flags);
    struct cmsghdr *header;
    if (size < 0)
        return size;
    for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        size_t length = header->cmsg_len - CMSG_LEN(0), at;
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type != SCM_TIMESTAMPING && header->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        for (at = 0; at + sizeof(struct timespec) <= length; at += sizeof(struct timespec))
            move((struct timespec *)(CMSG_DATA(header) + at));
    }
    return size;
}
