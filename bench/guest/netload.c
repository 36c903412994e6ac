/*
 * The workload inside the guests of the transport bench: the same program and the same kernel for
 * every transport, so that only the transport differs.
 *
 *   netload serve              the far end: takes TCP, echoes UDP, counts UDP
 *   netload measure IP SECONDS round trips, TCP throughput, small datagrams; one line of JSON
 *
 * Built statically with the machine's C compiler; runs as it is in a guest without libraries.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TCP_SINK = 5001, UDP_ECHO = 5002, UDP_SINK = 5003, COUNT = 5004 };
/* Ethernet 14 + IPv4 20 + UDP 8 + 18 = 60 bytes, 64 with the frame check sequence */
enum { SMALL = 18, BATCH = 32, PINGS = 400, PAUSED_PINGS = 200, MAX_CONNECTIONS = 32 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "netload: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct sockaddr_in address(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) die(ip);
  return a;
}

static int listening(int type, int port) {
  struct sockaddr_in a = address("0.0.0.0", port);
  int one = 1, s = socket(AF_INET, type, 0);
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(s, (void *)&a, sizeof a)) die("bind");
  if (type == SOCK_STREAM && listen(s, 8)) die("listen");
  return s;
}

static int connected(int type, const char *ip, int port) {
  struct sockaddr_in a = address(ip, port);
  int s = socket(AF_INET, type, 0);
  if (connect(s, (void *)&a, sizeof a)) die("connect");
  return s;
}

static void serve(void) {
  static char buffer[1 << 18], small[BATCH][64];
  struct mmsghdr batch[BATCH];
  struct iovec parts[BATCH];
  struct pollfd p[4 + MAX_CONNECTIONS] = {{.fd = listening(SOCK_STREAM, TCP_SINK)},
                                         {.fd = listening(SOCK_DGRAM, UDP_ECHO)},
                                         {.fd = listening(SOCK_DGRAM, UDP_SINK)},
                                         {.fd = listening(SOCK_STREAM, COUNT)}};
  uint64_t datagrams = 0;
  int n = 4, space = 4 << 20;
  setsockopt(p[2].fd, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
  for (int i = 0; i < n; i++) p[i].events = POLLIN;
  puts("serving");
  fflush(stdout);
  for (;;) {
    if (poll(p, n, -1) < 0) die("poll");
    if (p[1].revents) {
      struct sockaddr_in from;
      socklen_t size = sizeof from;
      ssize_t got = recvfrom(p[1].fd, buffer, sizeof buffer, 0, (void *)&from, &size);
      if (got >= 0) sendto(p[1].fd, buffer, got, 0, (void *)&from, size);
    }
    if (p[2].revents) {
      for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){small[i], sizeof small[i]};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
      }
      int got = recvmmsg(p[2].fd, batch, BATCH, MSG_DONTWAIT, NULL);
      if (got > 0) datagrams += got;
    }
    if (p[3].revents) {
      int c = accept(p[3].fd, NULL, NULL);
      if (write(c, &datagrams, sizeof datagrams) < 0) perror("count");
      close(c);
      datagrams = 0;
    }
    for (int i = 4; i < n; i++) {
      if (!p[i].revents) continue;
      if (read(p[i].fd, buffer, sizeof buffer) <= 0) {
        close(p[i].fd);
        p[i--] = p[--n];
      }
    }
    if (p[0].revents && n < 4 + MAX_CONNECTIONS)
      p[n++] = (struct pollfd){.fd = accept(p[0].fd, NULL, NULL), .events = POLLIN};
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median round trip in microseconds; lost ones are not counted. */
static double round_trip(int s, int count, int pause_us) {
  static double times[PINGS];
  char buffer[SMALL];
  int got = 0;
  for (int i = 0; i < count; i++) {
    double start = now();
    struct pollfd p = {.fd = s, .events = POLLIN};
    memset(buffer, i, sizeof buffer);
    if (send(s, buffer, sizeof buffer, 0) < 0) continue;
    /* an echo that comes too late must not be taken for the next one's */
    while (poll(&p, 1, 200) == 1 && recv(s, buffer, sizeof buffer, 0) > 0)
      if (buffer[0] == (char)i) {
        times[got++] = (now() - start) * 1e6;
        break;
      }
    if (pause_us) usleep(pause_us);
  }
  if (got == 0) return -1;
  qsort(times, got, sizeof *times, ascending);
  return times[got / 2];
}

static uint64_t counted(const char *ip) {
  uint64_t count = 0;
  int s = connected(SOCK_STREAM, ip, COUNT);
  if (read(s, &count, sizeof count) != sizeof count) die("count");
  close(s);
  return count;
}

static void measure(const char *ip, double seconds) {
  static char block[1 << 17];
  int echo = connected(SOCK_DGRAM, ip, UDP_ECHO);
  round_trip(echo, 20, 1000);
  double paused = round_trip(echo, PAUSED_PINGS, 5000);
  double back_to_back = round_trip(echo, PINGS, 0);

  int tcp = connected(SOCK_STREAM, ip, TCP_SINK);
  uint64_t bytes = 0;
  double start = now(), end = start + 0.3; /* slow start is not what is compared */
  while (now() < end)
    if (write(tcp, block, sizeof block) < 0) die("write");
  for (start = now(), end = start + seconds; now() < end;) {
    ssize_t wrote = write(tcp, block, sizeof block);
    if (wrote < 0) die("write");
    bytes += wrote;
  }
  double tcp_bits = bytes * 8 / (now() - start);
  close(tcp);
  usleep(300000);

  struct mmsghdr batch[BATCH];
  struct iovec part = {block, SMALL};
  for (int i = 0; i < BATCH; i++)
    batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
  int udp = connected(SOCK_DGRAM, ip, UDP_SINK);
  counted(ip);
  uint64_t sent = 0;
  for (start = now(), end = start + seconds; now() < end;) {
    int n = sendmmsg(udp, batch, BATCH, 0);
    if (n > 0) sent += n;
  }
  double took = now() - start;
  usleep(500000);
  printf("RESULT {\"rttUs\":%.0f,\"rttBackToBackUs\":%.0f,\"tcpBitsPerSec\":%.0f,"
         "\"udpSentPerSec\":%.0f,\"udpReceivedPerSec\":%.0f}\n",
         paused, back_to_back, tcp_bits, sent / took, counted(ip) / took);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "serve")) serve();
  if (argc == 4 && !strcmp(argv[1], "measure")) {
    measure(argv[2], atof(argv[3]));
    return 0;
  }
  fputs("usage: netload serve | netload measure IP SECONDS\n", stderr);
  return 2;
}
