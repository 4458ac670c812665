/* Modbus devices for benchmarks, as lean as they can be: what is measured is the reader.
 *
 *   modbus_load tcp DEVICES SILENT     DEVICES listeners on 127.0.0.1, one epoll loop; the last SILENT of them
 *                                      accept and never answer. Prints their ports, one a line.
 *   modbus_load rtu BAUD DELAY_US      unit 1 on a pseudo-terminal that lets through 11 bits a character, request
 *                                      and answer alike, and answers DELAY_US after a request. Prints its path.
 *
 * Functions 3 and 4 read big-endian float32 values that differ from poll to poll and stay between 50 and 51; all
 * other functions are refused. Ends when its input ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { DEVICES_MAX = 4096, DESCRIPTORS_MAX = 16384, EVENTS = 256, REGISTERS_MAX = 125, CHUNK = 8 };
enum { LISTENER = 1, SILENT_LISTENER = 2, DEVICE = 3, SILENT_DEVICE = 4 };

struct descriptor {
    uint8_t kind, buffered, buffer[255];
    uint32_t polls;
};
static struct descriptor descriptors[DESCRIPTORS_MAX];

/* Write the answer to a request PDU; return its length. */
static int answer(const uint8_t *request, int size, uint8_t *pdu, uint32_t *polls)
{
    int function = request[0], first = size < 5 ? 0 : request[1] << 8 | request[2];
    int count = size < 5 ? 0 : request[3] << 8 | request[4];
    pdu[0] = function;
    if ((function != 3 && function != 4) || count < 1 || count > REGISTERS_MAX) {
        pdu[0] = function | 0x80;
        pdu[1] = function == 3 || function == 4 ? 3 : 1;
        return 2;
    }
    if (first == 0)
        ++*polls;
    pdu[1] = 2 * count;
    for (int at = 0; at < count; at++) {
        int value = (first + at) / 2;
        float number = 50.0f + (float) ((*polls * 37u + value * 11u) % 1009u) / 1009.0f;
        uint32_t bits;
        memcpy(&bits, &number, 4);
        uint16_t word = (first + at) % 2 ? bits & 0xFFFF : bits >> 16;
        pdu[2 + 2 * at] = word >> 8;
        pdu[3 + 2 * at] = word & 0xFF;
    }
    return 2 + 2 * count;
}

static int listen_on_any_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || listener >= DESCRIPTORS_MAX || bind(listener, (struct sockaddr *) &address, length)
        || listen(listener, 16))
        return -1;
    getsockname(listener, (struct sockaddr *) &address, &length);
    printf("%d\n", ntohs(address.sin_port));
    return listener;
}

static void watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void accept_one(int poller, int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (fd >= DESCRIPTORS_MAX) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint8_t kind = descriptors[listener].kind == LISTENER ? DEVICE : SILENT_DEVICE;
    /* Each listener is a device of its own: its values differ from the others'. */
    descriptors[fd] = (struct descriptor) {.kind = kind, .polls = listener};
    watch(poller, fd);
}

/* Answer every whole request that has come: a pipelining client may send several at once. */
static void serve(int fd)
{
    struct descriptor *device = &descriptors[fd];
    ssize_t size = read(fd, device->buffer + device->buffered, sizeof device->buffer - device->buffered);
    if (size == 0 || (size < 0 && errno != EAGAIN)) {
        close(fd);
        return;
    }
    if (size < 0 || device->kind == SILENT_DEVICE)
        return;
    int filled = device->buffered + size, start = 0, out = 0;
    uint8_t answers[8192];
    while (filled - start >= 8 && out < (int) sizeof answers - 260) {
        const uint8_t *request = device->buffer + start;
        int length = request[4] << 8 | request[5];
        if (filled - start < 6 + length)
            break;
        memcpy(answers + out, request, 7);
        int pdu = answer(request + 7, length - 1, answers + out + 7, &device->polls);
        answers[out + 4] = (pdu + 1) >> 8;
        answers[out + 5] = (pdu + 1) & 0xFF;
        out += 7 + pdu;
        start += 6 + length;
    }
    device->buffered = filled - start;
    memmove(device->buffer, device->buffer + start, device->buffered);
    if (out > 0 && write(fd, answers, out) != out)
        close(fd);
}

static int serve_tcp(int devices, int silent)
{
    int poller = epoll_create1(0);
    watch(poller, STDIN_FILENO);
    for (int at = 0; at < devices; at++) {
        int listener = listen_on_any_port();
        if (listener < 0)
            return 1;
        descriptors[listener].kind = at < devices - silent ? LISTENER : SILENT_LISTENER;
        watch(poller, listener);
    }
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int at = 0; at < ready; at++) {
            int fd = events[at].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (descriptors[fd].kind <= SILENT_LISTENER)
                accept_one(poller, fd);
            else
                serve(fd);
        }
    }
}

static uint16_t crc16(const uint8_t *data, int size)
{
    uint16_t crc = 0xFFFF;
    for (int at = 0; at < size; at++) {
        crc ^= data[at];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    return crc;
}

static void sleep_until(int64_t ns)
{
    struct timespec until = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A request of 8 bytes takes its time on the line, the device its delay, the answer its time, piece by piece. */
static int serve_rtu(int baud, int delay_us)
{
    int master, slave;
    char path[64];
    struct termios raw;
    if (openpty(&master, &slave, path, NULL, NULL))
        return 1;
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    printf("%s\n", path);
    fflush(stdout);
    int64_t character_ns = 11LL * 1000000000 / baud;
    uint8_t request[8], frame[260];
    uint32_t polls = 0;
    for (int got = 0;;) {
        struct pollfd waiting[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = master, .events = POLLIN}};
        poll(waiting, 2, -1);
        if (waiting[0].revents)
            return 0;
        int64_t began_ns = now_ns();
        ssize_t size = read(master, request + got, sizeof request - got);
        got = size > 0 ? got + size : 0;
        if (got < (int) sizeof request)
            continue;
        got = 0;
        if (request[0] != 1 || crc16(request, 6) != (request[6] | request[7] << 8))
            continue;
        frame[0] = 1;
        int length = 1 + answer(request + 1, 5, frame + 1, &polls);
        uint16_t crc = crc16(frame, length);
        frame[length++] = crc & 0xFF;
        frame[length++] = crc >> 8;
        int64_t at_ns = began_ns + 8 * character_ns + delay_us * 1000LL;
        for (int sent = 0; sent < length; sent += CHUNK) {
            int piece = length - sent < CHUNK ? length - sent : CHUNK;
            at_ns += piece * character_ns;
            sleep_until(at_ns);
            if (write(master, frame + sent, piece) != piece)
                return 1;
        }
    }
}

int main(int count, char **arguments)
{
    if (count == 4 && !strcmp(arguments[1], "tcp") && atoi(arguments[2]) <= DEVICES_MAX)
        return serve_tcp(atoi(arguments[2]), atoi(arguments[3]));
    if (count == 4 && !strcmp(arguments[1], "rtu") && atoi(arguments[2]) > 0)
        return serve_rtu(atoi(arguments[2]), atoi(arguments[3]));
    fprintf(stderr, "usage: modbus_load tcp DEVICES SILENT | rtu BAUD DELAY_US\n");
    return 2;
}
