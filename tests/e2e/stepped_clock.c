/* The clocks of a process as a test sets them: preloaded, it adds to what the system says.
 *
 * CLOCK_TEST names a file of three int64: ns added to CLOCK_REALTIME, ns added to CLOCK_BOOTTIME, and whether
 * adjtimex(2) says that nobody disciplines the clock. The test writes them while the process runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <time.h>

static volatile int64_t *shift;

__attribute__((constructor)) static void open_shift(void)
{
    int file = open(getenv("CLOCK_TEST"), O_RDONLY | O_CLOEXEC);
    shift = mmap(NULL, 3 * sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || shift == MAP_FAILED)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, now);
    if (shift && (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME)) {
        int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + shift[clock == CLOCK_BOOTTIME];
        now->tv_sec = ns / 1000000000LL;
        now->tv_nsec = ns % 1000000000LL;
    }
    return answer;
}

int adjtimex(struct timex *state)
{
    *state = (struct timex){.esterror = 1, .status = shift[2] ? STA_UNSYNC : 0};
    return shift[2] ? TIME_ERROR : TIME_OK;
}
