/*
 * A stream of data between two guests, for measuring: the same program in any image.
 *
 *     load tcp-serve ADDRESS PORT SKIP FOR     takes one connection; says "ready", then, FOR ms after the
 *                                              first SKIP ms of its data: BYTES MICROSECONDS
 *     load tcp-send  ADDRESS PORT FOR RATE     fills it until it ends or FOR ms are over
 *     load udp-serve ADDRESS PORT FOR          says "ready", then what came: DATAGRAMS BYTES MICROSECONDS
 *     load udp-send  ADDRESS PORT FOR RATE     sends datagrams at RATE; says how many: DATAGRAMS
 *
 * ADDRESS is the bytes of an IPv4 or IPv6 address in hexadecimal, RATE bits a second (0: all that goes).
 */
#include "sys.h"

enum { SYS_connect = 42, SYS_accept4 = 288, SYS_listen = 50, SYS_setsockopt = 54, SYS_getsockopt = 55 };
enum { POLLIN = 1, POLLOUT = 4, EINPROGRESS = 115, MSG_NOSIGNAL = 0x4000 };
enum { AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_FLAGS = O_NONBLOCK | O_CLOEXEC };
enum { SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ERROR = 4 };

#define CHUNK 65536
#define DATAGRAM 1200
/* Waiting for the other side to begin, and for what is still on its way. */
#define BEGIN_US 10000000L
#define SILENCE_US 1000000L

struct pollfd {
    int fd;
    short events, revents;
};

static u8 data[CHUNK];
static u8 address[28];
static int address_bytes, family;

static i64 now_us(void) {
    i64 t[2];
    call2(SYS_clock_gettime, 1 /* MONOTONIC */, t);
    return t[0] * 1000000 + t[1] / 1000;
}

static void fail(const char *what, i64 error) {
    char text[128];
    text[0] = 0;
    append(text, sizeof text, what);
    append(text, sizeof text, ": error ");
    append_number(text, sizeof text, -error);
    append(text, sizeof text, "\n");
    call3(SYS_write, 2, text, length_of(text));
    sys_exit(1);
}

static void say(i64 a, i64 b, i64 c, int count) {
    char text[96];
    i64 values[3];
    int i;
    values[0] = a, values[1] = b, values[2] = c;
    text[0] = 0;
    for (i = 0; i < count; i++) {
        if (i) append(text, sizeof text, " ");
        append_number(text, sizeof text, values[i]);
    }
    append(text, sizeof text, "\n");
    call3(SYS_write, 1, text, length_of(text));
}

static i64 number(const char *text) {
    i64 value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

static int hex(char c) {
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* struct sockaddr_in and sockaddr_in6 */
static void read_address(const char *text, i64 port) {
    u64 length = length_of(text), i;
    u8 *to;
    family = length == 8 ? AF_INET : AF_INET6;
    address_bytes = family == AF_INET ? 16 : 28;
    if (length != 8 && length != 32) fail("no address", -EINVAL);
    address[0] = (u8)family;
    address[2] = (u8)(port >> 8);
    address[3] = (u8)port;
    to = address + (family == AF_INET ? 4 : 8);
    for (i = 0; i < length; i += 2) to[i / 2] = (u8)(hex(text[i]) * 16 + hex(text[i + 1]));
}

/* Whether it is ready before `until`. */
static int wait_for(i64 fd, int events, i64 until) {
    for (;;) {
        struct pollfd one;
        i64 left = until - now_us(), span[2], n;
        if (left < 0) left = 0;
        span[0] = left / 1000000;
        span[1] = left % 1000000 * 1000;
        one.fd = (int)fd;
        one.events = (short)events;
        one.revents = 0;
        n = call5(SYS_ppoll, &one, 1, span, NULL, 8);
        if (n > 0) return 1;
        if (n == -EINTR) continue;
        return 0;
    }
}

static i64 open_socket(int type) {
    i64 s = call3(SYS_socket, family, type | SOCK_FLAGS, 0);
    if (s < 0) fail("socket", s);
    return s;
}

static i64 bound(int type) {
    int one = 1;
    i64 s = open_socket(type), error;
    call5(SYS_setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    error = call3(SYS_bind, s, address, address_bytes);
    if (error < 0) fail("bind", error);
    if (type == SOCK_STREAM) call2(SYS_listen, s, 4);
    call3(SYS_write, 1, "ready\n", 6);
    return s;
}

static void tcp_serve(i64 skip_us, i64 for_us) {
    i64 server = bound(SOCK_STREAM), s, n, first = 0, last = 0, from = 0, bytes = 0;
    if (!wait_for(server, POLLIN, now_us() + BEGIN_US)) fail("nobody connected", -EAGAIN);
    s = call4(SYS_accept4, server, NULL, NULL, SOCK_FLAGS);
    if (s < 0) fail("accept", s);
    for (;;) {
        i64 t = now_us(), until = first ? first + skip_us + for_us : t + BEGIN_US;
        if (!wait_for(s, POLLIN, until)) break;
        n = call6(SYS_recvfrom, s, data, CHUNK, 0, NULL, NULL);
        if (n == -EAGAIN || n == -EINTR) continue;
        if (n <= 0) break;
        t = now_us();
        if (!first) first = t;
        if (t >= first + skip_us) {
            /* what came with the first of them was on its way before */
            if (!from) from = t;
            else bytes += n;
            last = t;
        }
        if (t >= first + skip_us + for_us) break;
    }
    say(bytes, from ? last - from : 0, 0, 2);
}

/* Until the next piece of so many bytes is due at that rate. */
static i64 due(i64 began, i64 sent_bytes, i64 rate) {
    return began + sent_bytes * 8 / rate * 1000000 + sent_bytes * 8 % rate * 1000000 / rate;
}

static void tcp_send(i64 for_us, i64 rate) {
    i64 s = open_socket(SOCK_STREAM), n, began, sent = 0, until = now_us() + for_us;
    int error = 0, size = 4;
    n = call3(SYS_connect, s, address, address_bytes);
    if (n < 0 && n != -EINPROGRESS) fail("connect", n);
    if (!wait_for(s, POLLOUT, now_us() + BEGIN_US)) fail("connect", -110);
    call5(SYS_getsockopt, s, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("connect", -error);
    began = now_us();
    while (now_us() < until) {
        i64 piece = CHUNK;
        if (rate) {
            i64 at = due(began, sent, rate);
            piece = rate < 1000000 ? 1400 : 14000;
            if (at > now_us()) wait_for(-1, 0, at < until ? at : until);
        }
        n = call6(SYS_sendto, s, data, piece, MSG_NOSIGNAL, NULL, 0);
        if (n == -EAGAIN) wait_for(s, POLLOUT, until);
        else if (n < 0 && n != -EINTR) break; /* it has seen enough */
        else if (n > 0) sent += n;
    }
    say(sent, 0, 0, 1);
}

static void udp_serve(i64 for_us) {
    i64 s = bound(SOCK_DGRAM), first = 0, last = 0, datagrams = 0, bytes = 0;
    for (;;) {
        i64 t = now_us(), n;
        i64 until = first ? first + for_us + SILENCE_US : t + BEGIN_US;
        if (!wait_for(s, POLLIN, until)) break;
        n = call6(SYS_recvfrom, s, data, CHUNK, 0, NULL, NULL);
        if (n < 0) continue;
        if (n == 1) break; /* the sender's last word */
        last = now_us();
        if (!first) first = last;
        datagrams++;
        bytes += n;
    }
    say(datagrams, bytes, last - first, 3);
}

static void udp_send(i64 for_us, i64 rate) {
    i64 s = open_socket(SOCK_DGRAM), n, began = now_us(), sent = 0, i;
    n = call3(SYS_connect, s, address, address_bytes);
    if (n < 0) fail("connect", n);
    for (;;) {
        i64 at = rate ? due(began, sent * DATAGRAM, rate) : 0, t = now_us();
        if (t >= began + for_us) break;
        if (at > t) {
            wait_for(-1, 0, at);
            continue;
        }
        n = call6(SYS_sendto, s, data, DATAGRAM, MSG_NOSIGNAL, NULL, 0);
        if (n == -EAGAIN) wait_for(s, POLLOUT, began + for_us);
        else sent++; /* refused ones (no route now) count as sent, and are lost */
    }
    say(sent, 0, 0, 1);
    for (i = 0; i < 3; i++) {
        wait_for(-1, 0, now_us() + 200000);
        call6(SYS_sendto, s, data, 1, MSG_NOSIGNAL, NULL, 0);
    }
}

void start(i64 *stack) {
    char **argv = (char **)(stack + 1);
    const char *mode = argv[1];
    if (stack[0] < 5) fail("too few arguments", -EINVAL);
    read_address(argv[2], number(argv[3]));
    if (equal(mode, "tcp-serve") && stack[0] == 6)
        tcp_serve(number(argv[4]) * 1000, number(argv[5]) * 1000);
    else if (equal(mode, "tcp-send") && stack[0] == 6)
        tcp_send(number(argv[4]) * 1000, number(argv[5]));
    else if (equal(mode, "udp-serve"))
        udp_serve(number(argv[4]) * 1000);
    else if (equal(mode, "udp-send") && stack[0] == 6)
        udp_send(number(argv[4]) * 1000, number(argv[5]));
    else fail("no such mode", -EINVAL);
    sys_exit(0);
}
