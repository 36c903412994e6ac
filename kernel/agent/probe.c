/*
 * Sends probes from a guest's own kernel, and says what that kernel made of them. What happens to
 * them on their way is the fabric's to tell (net/trace): the payload begins with a cookie.
 *
 *     probe icmp|tcp|udp ADDRESS COOKIE COUNT WAIT SIZE PORT FROMPORT HOPS
 *
 * ADDRESS (4 or 16 bytes) and COOKIE (8) are hexadecimal, WAIT is in milliseconds for each probe, SIZE
 * is that of the IP packet (0: as small as it can be; else it is not to be fragmented), HOPS its TTL
 * (0: as usual). One line a probe: NUMBER, a word, and a number with it:
 *
 *     1 answer NANOSECONDS    2 silent 0    3 refused ERRNO    4 error ERRNO    5 unsent ERRNO
 *
 * refused: TCP's reset, UDP's "port unreachable". error: an ICMP message or the kernel's own despair.
 * unsent: the kernel did not even try. It ends with the first probe that is neither silent nor error.
 */
#include "sys.h"

enum { AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3,
       SOCK_NONBLOCK = 04000 };
enum { SYS_connect = 42, SYS_setsockopt = 54, SYS_getsockopt = 55 };
enum { ECONNREFUSED = 111, EINPROGRESS = 115 };
enum { POLLIN = 1, POLLOUT = 4 };

struct pollfd {
    int fd;
    short events;
    short revents;
};

struct timespec {
    i64 seconds, nanoseconds;
};

/* struct sockaddr_in6; the first half is laid out as sockaddr_in is, but for the address's place */
struct address {
    u16 family;
    u8 port[2];
    u8 v4_or_flow[4];
    u8 v6[16];
    u32 scope;
};

static u8 packet[65536];
static u8 answer[65536];
static u8 cookie[8];
static struct address target;
static int v6;
static char line[64];

static i64 now(void) {
    struct timespec time;
    call2(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
    return time.seconds * 1000000000 + time.nanoseconds;
}

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* How many bytes the text stood for; 0 where it is none. */
static int from_hexadecimal(const char *text, u8 *to, int most) {
    int n = 0;
    while (text[0]) {
        int high = digit(text[0]);
        int low = high < 0 ? -1 : digit(text[1]);
        if (low < 0 || n == most) return 0;
        to[n++] = (u8)(high << 4 | low);
        text += 2;
    }
    return n;
}

static i64 number(const char *text) {
    i64 value = 0;
    if (!text) return 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

static void tell(i64 probe, const char *word, i64 with) {
    line[0] = 0;
    append_number(line, sizeof line, probe);
    append(line, sizeof line, " ");
    append(line, sizeof line, word);
    append(line, sizeof line, " ");
    append_number(line, sizeof line, with);
    append(line, sizeof line, "\n");
    call3(SYS_write, 1, line, length_of(line));
}

static void option(int fd, int level, int name, int value) {
    call5(SYS_setsockopt, fd, level, name, &value, sizeof value);
}

static u32 checksum(const u8 *data, u32 length) {
    u32 sum = 0, i;
    for (i = 0; i + 1 < length; i += 2) sum += (u32)data[i] << 8 | data[i + 1];
    if (length & 1) sum += (u32)data[length - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static int same(const u8 *a, const u8 *b, u32 length) {
    while (length--) if (*a++ != *b++) return 0;
    return 1;
}

static int open_socket(int type, int protocol, int whole, int hops) {
    int fd = (int)call3(SYS_socket, target.family, type | SOCK_NONBLOCK, protocol);
    if (fd < 0) return fd;
    option(fd, v6 ? 41 : 0, v6 ? 25 /* IPV6_RECVERR */ : 11 /* IP_RECVERR */, 1);
    if (hops) option(fd, v6 ? 41 : 0, v6 ? 16 /* IPV6_UNICAST_HOPS */ : 2 /* IP_TTL */, hops);
    /* ..._PMTUDISC_PROBE: as long as the interface allows, whatever is known of the path */
    if (whole) option(fd, v6 ? 41 : 0, v6 ? 23 /* IPV6_MTU_DISCOVER */ : 10 /* IP_MTU_DISCOVER */, 3);
    return fd;
}

static i64 pending_error(int fd) {
    int error = 0, size = sizeof error;
    call5(SYS_getsockopt, fd, 1 /* SOL_SOCKET */, 4 /* SO_ERROR */, &error, &size);
    return error;
}

/* Whether the socket is ready before the time is over. */
static int await(int fd, int events, i64 until) {
    struct pollfd poll;
    struct timespec left;
    i64 rest = until - now();
    poll.fd = fd;
    poll.events = (short)events;
    poll.revents = 0;
    if (rest < 0) rest = 0;
    left.seconds = rest / 1000000000;
    left.nanoseconds = rest % 1000000000;
    return call5(SYS_ppoll, &poll, 1, &left, NULL, 8) > 0;
}

/* The answer to an echo request, from the address that was asked: from another one it is none. */
static int is_echo(i64 length, int probe, const struct address *from) {
    u32 at = v6 ? 0 : (u32)(answer[0] & 15) * 4;
    if (length < (i64)at + 17) return 0;
    if (v6 ? !same(from->v6, target.v6, 16) : !same(from->v4_or_flow, target.v4_or_flow, 4)) return 0;
    return answer[at] == (v6 ? 129 : 0) && same(answer + at + 8, cookie, 8) && answer[at + 16] == probe;
}

/* True where there is no need for another probe. */
static int echo(int probe, i64 wait, u32 size, int hops) {
    u32 header = v6 ? 40 : 20;
    u32 length = size > header + 17 ? size - header : 17;
    int fd = open_socket(SOCK_RAW, v6 ? 58 : 1, size > 0, hops);
    i64 sent = now(), got;
    u32 sum, id = (u32)call0(SYS_getpid);
    if (fd < 0) {
        tell(probe, "unsent", -fd);
        return 1;
    }
    memset(packet, 0, length);
    packet[0] = v6 ? 128 : 8;
    packet[4] = (u8)(id >> 8);
    packet[5] = (u8)id;
    packet[7] = (u8)probe;
    memcpy(packet + 8, cookie, 8);
    packet[16] = (u8)probe;
    sum = checksum(packet, length); /* the kernel does it for IPv6 */
    packet[2] = (u8)(sum >> 8);
    packet[3] = (u8)sum;
    got = call6(SYS_sendto, fd, packet, length, 0, &target, v6 ? 28 : 16);
    if (got < 0) {
        tell(probe, "unsent", -got);
        call1(SYS_close, fd);
        return 1;
    }
    while (await(fd, POLLIN, sent + wait)) {
        struct address who;
        int who_bytes = sizeof who;
        got = call6(SYS_recvfrom, fd, answer, sizeof answer, 0, &who, &who_bytes);
        if (got < 0 && got != -EAGAIN) {
            tell(probe, "error", -got);
            break;
        }
        if (got >= 0 && is_echo(got, probe, &who)) {
            tell(probe, "answer", now() - sent);
            call1(SYS_close, fd);
            return 1;
        }
        if (got == -EAGAIN) { /* the error that woke us has no message */
            i64 error = pending_error(fd);
            struct timespec pause = {0, 1000000};
            if (error) {
                tell(probe, "error", error);
                break;
            }
            call5(SYS_ppoll, NULL, 0, &pause, NULL, 8);
        }
    }
    if (now() >= sent + wait) tell(probe, "silent", 0);
    call1(SYS_close, fd);
    return 0;
}

/* A TCP connection or a UDP datagram, from a port of its own. */
static int knock(int tcp, int probe, i64 wait, u32 size, u32 from, int hops) {
    struct address own;
    int fd = open_socket(tcp ? SOCK_STREAM : SOCK_DGRAM, 0, size > 0, hops);
    u32 header = v6 ? 48 : 28;
    u32 length = size > header + 9 ? size - header : 9;
    int linger[2] = {1, 0};
    i64 sent, got;
    if (fd < 0) {
        tell(probe, "unsent", -fd);
        return 1;
    }
    memset(&own, 0, sizeof own);
    own.family = target.family;
    own.port[0] = (u8)((from + (u32)probe) >> 8);
    own.port[1] = (u8)(from + (u32)probe);
    call3(SYS_bind, fd, &own, v6 ? 28 : 16);
    sent = now();
    got = call3(SYS_connect, fd, &target, v6 ? 28 : 16);
    if (got == 0 && !tcp) {
        memcpy(packet, cookie, 8);
        packet[8] = (u8)probe;
        got = call6(SYS_sendto, fd, packet, length, 0, NULL, 0);
    }
    if (got == -EINPROGRESS) got = 0;
    if (got >= 0) {
        got = -EAGAIN;
        if (await(fd, tcp ? POLLOUT : POLLIN, sent + wait)) {
            if (tcp) got = -pending_error(fd);
            else got = call6(SYS_recvfrom, fd, answer, sizeof answer, 0, NULL, NULL);
        }
        if (got >= 0) tell(probe, "answer", now() - sent);
        else if (got == -EAGAIN) tell(probe, "silent", 0);
        else tell(probe, got == -ECONNREFUSED ? "refused" : "error", -got);
    } else {
        tell(probe, got == -ECONNREFUSED ? "refused" : "unsent", -got);
        got = -ECONNREFUSED;
    }
    if (tcp) call5(SYS_setsockopt, fd, 1 /* SOL_SOCKET */, 13 /* SO_LINGER */, linger, sizeof linger);
    call1(SYS_close, fd);
    return got >= 0 || got == -ECONNREFUSED;
}

void start(i64 *stack) {
    char **words = (char **)(stack + 2); /* behind our own name */
    u8 bytes[16];
    int length, probe, done = 0;
    if (stack[0] != 10) sys_exit(2);
    length = from_hexadecimal(words[1], bytes, 16);
    if ((length != 4 && length != 16) || from_hexadecimal(words[2], cookie, 8) != 8) sys_exit(2);
    v6 = length == 16;
    target.family = v6 ? AF_INET6 : AF_INET;
    memcpy(v6 ? target.v6 : target.v4_or_flow, bytes, (u64)length);
    for (probe = 1; !done && probe <= number(words[3]); probe++) {
        i64 wait = number(words[4]) * 1000000;
        u32 size = (u32)number(words[5]);
        u32 port = (u32)number(words[6]);
        int hops = (int)number(words[8]);
        if (equal(words[0], "icmp")) {
            done = echo(probe, wait, size, hops);
        } else {
            target.port[0] = (u8)(port >> 8);
            target.port[1] = (u8)port;
            done = knock(equal(words[0], "tcp"), probe, wait, size, (u32)number(words[7]), hops);
        }
    }
    sys_exit(0);
}
