/*
 * The guest's first process, and the supervisor's hand in it.
 *
 * As /init of the initramfs it loads the packed modules, puts a private writable layer over the
 * read-only image, and makes that the root. Then it serves the framed protocol (protocol.ts) on the
 * serial line until the line ends, which powers the guest off: a guest never outlives its supervisor.
 *
 *     supervisor <== /dev/ttyS0, frames ==> agent <-- pipes, ptys --> commands
 *
 * One loop around ppoll. Nothing is read from a command that the supervisor has not granted credit
 * for, so one slow reader stops nobody else, and all buffers are bounded.
 */
#include "sys.h"
#include "protocol.h"

#define POLLIN 1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 16

#define OUT_BYTES (512 * 1024)
/* Data is read from commands only while this much is free, so that control frames always fit. */
#define OUT_RESERVE (64 * 1024)
/* Background processes that still hold the output of a command that ended: read and dropped. */
#define MAX_LINGERING 64

struct pollfd {
    int fd;
    short events;
    short revents;
};

struct window_size {
    u16 rows, columns, x, y;
};

enum { FREE, COMMAND, READER, WRITER };

struct channel {
    int kind;
    int pid; /* 0 once it was reaped */
    int how, value; /* its end, valid when pid is 0 */
    int terminal;
    int settled; /* nothing was left to read in a round that began after its end */
    int input; /* our end of its standard input, -1 when closed */
    int output[2]; /* our ends of its standard output and error, -1 when closed */
    i64 credit[2]; /* what the supervisor takes from each */
    int slot[3]; /* places in polls, -1 for none: input, output, error */
    int input_ended; /* close the input once the buffer is empty */
    u8 *buffer; /* input that it did not take yet: INPUT_WINDOW bytes, mapped when first needed */
    u32 start, filled;
    u32 taken; /* input taken since the last credit was sent */
};

static struct channel channels[MAX_CHANNELS];
static int highest; /* one above the last channel ever used */
static struct pollfd polls[1 + 3 * MAX_CHANNELS + MAX_LINGERING];
static int lingering[MAX_LINGERING];
static int lingering_count;

static int line = -1, null_device = -1, inbox = -1;
static u8 in[2 * LINE_WINDOW];
static u32 in_filled;
static u32 line_taken; /* since TAKEN was last sent */
static u32 nonce;
static int started;
static u8 long_area[MAX_PAYLOAD + 2 * INBOX_UNIT];
static u8 out[OUT_BYTES];
static u32 out_start, out_filled;
static u8 scratch[MAX_DATA];

static volatile int child_ended, asked_off, asked_reboot;

/* ---- small helpers ---- */

static void say(const char *text, i64 number) {
    char message[256];
    int fd = (int)call3(SYS_open, "/dev/kmsg", O_WRONLY | O_CLOEXEC, 0);
    message[0] = 0;
    append(message, sizeof message, "<3>uml-lab: "); /* an error: shown in spite of quiet */
    append(message, sizeof message, text);
    if (number) {
        append(message, sizeof message, ": error ");
        append_number(message, sizeof message, -number);
    }
    append(message, sizeof message, "\n");
    if (fd < 0) {
        call3(SYS_write, 2, message, length_of(message));
        return;
    }
    call3(SYS_write, fd, message, length_of(message));
    call1(SYS_close, fd);
}

/* The writable layer's file system; -1 where it is RAM. */
static int upper = -1;

static void power(int how) {
    call0(162 /* sync */);
    /* Written out and marked clean: the next boot has no journal to replay. */
    if (upper >= 0) call3(SYS_ioctl, upper, 0xc0045877 /* FIFREEZE */, 0);
    call4(SYS_reboot, 0xfee1dead, 672274793,
          how == POWER_REBOOT ? 0x01234567 : 0x4321fedc /* POWER_OFF */, NULL);
    for (;;) call5(SYS_ppoll, NULL, 0, NULL, NULL, 8);
}

static void give_up(const char *text, i64 error) {
    say(text, error);
    power(POWER_OFF);
}

static void close_fd(int *fd) {
    if (*fd >= 0) call1(SYS_close, *fd);
    *fd = -1;
}

static void put16(u8 *at, u32 value) {
    at[0] = (u8)value;
    at[1] = (u8)(value >> 8);
}

static void put32(u8 *at, u32 value) {
    put16(at, value);
    put16(at + 2, value >> 16);
}

static u32 get16(const u8 *at) {
    return at[0] | (u32)at[1] << 8;
}

static u32 get32(const u8 *at) {
    return get16(at) | get16(at + 2) << 16;
}

/* ---- frames out ---- */

static void flush(void) {
    while (out_filled > out_start) {
        i64 n = call3(SYS_write, line, out + out_start, out_filled - out_start);
        if (n == -EINTR) continue;
        if (n == -EAGAIN) return;
        if (n <= 0) power(POWER_OFF);
        out_start += (u32)n;
    }
    out_start = out_filled = 0;
}

/* Room for a frame with this much payload; waits for the line only when the reserve is used up. */
static u8 *frame(u32 channel, u32 type, u32 stream, u32 length) {
    u8 *at;
    while (OUT_BYTES - out_filled < HEADER_BYTES + length) {
        struct pollfd wait;
        flush();
        if (out_start > 0) {
            move_down(out, out + out_start, out_filled - out_start);
            out_filled -= out_start;
            out_start = 0;
            continue;
        }
        wait.fd = line;
        wait.events = POLLOUT;
        wait.revents = 0;
        call5(SYS_ppoll, &wait, 1, NULL, NULL, 8);
    }
    at = out + out_filled;
    put16(at, channel);
    at[2] = (u8)type;
    at[3] = (u8)stream;
    put32(at + 4, length);
    out_filled += HEADER_BYTES + length;
    return at + HEADER_BYTES;
}

static void send_exit(u32 id, int how, int value) {
    u8 *at = frame(id, FRAME_EXIT, 0, 5);
    at[0] = (u8)how;
    put32(at + 1, (u32)value);
}

static void send_credit(u32 id, struct channel *c, int at_once) {
    if (c->taken == 0 || (!at_once && c->taken < INPUT_WINDOW / 4)) return;
    put32(frame(id, FRAME_CREDIT, STREAM_INPUT, 4), c->taken);
    c->taken = 0;
}

/* ---- channels ---- */

static struct channel *open_channel(u32 id, int kind) {
    struct channel *c = &channels[id];
    memset(c, 0, sizeof *c);
    c->kind = kind;
    c->input = c->output[0] = c->output[1] = -1;
    c->credit[0] = c->credit[1] = OUTPUT_WINDOW;
    if ((int)id >= highest) highest = (int)id + 1;
    return c;
}

static void finish(u32 id, struct channel *c) {
    int i;
    close_fd(&c->input);
    for (i = 0; i < 2; i++) {
        if (c->output[i] < 0) continue;
        /* A background process may go on writing: it must neither block nor be killed for it. */
        if (!c->terminal && c->kind == COMMAND && lingering_count < MAX_LINGERING)
            lingering[lingering_count++] = c->output[i];
        else
            call1(SYS_close, c->output[i]);
        c->output[i] = -1;
    }
    if (c->buffer) call2(SYS_munmap, c->buffer, INPUT_WINDOW);
    c->kind = FREE;
    send_exit(id, c->how, c->value);
}

static void end_with_error(u32 id, i64 error) {
    send_exit(id, EXIT_ERRNO, (int)-error);
}

/* ---- commands ---- */

/* Whom the next command runs as. */
static struct {
    int given; /* else it is root, as the agent */
    u32 uid, gid, count, groups[1 + MAX_GROUPS];
} user;

/* Its standard streams become its own, so that it may open /dev/stdout; /dev/null stays root's. */
static i64 become_user(int in_fd) {
    i64 result;
    int fd;
    for (fd = in_fd == null_device ? 1 : 0; fd < 3; fd++) call3(SYS_fchown, fd, user.uid, -1);
    if ((result = call2(SYS_setgroups, user.count, user.groups)) < 0) return result;
    if ((result = call1(SYS_setgid, user.gid)) < 0) return result;
    return call1(SYS_setuid, user.uid);
}

/* Runs in the borrowed memory of the parent: changes nothing but *error. */
static void execute(const char *directory, char **argv, char **envp, int terminal, int in_fd,
                    int out_fd, int err_fd, volatile int *error) {
    static char path[4096];
    const char *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    i64 result, first = -ENOENT;
    int i;
    call0(SYS_setsid);
    if (terminal) call3(SYS_ioctl, in_fd, 0x540e /* TIOCSCTTY */, 1);
    call2(SYS_dup2, in_fd, 0);
    call2(SYS_dup2, out_fd, 1);
    call2(SYS_dup2, err_fd, 2);
    on_signal(SIGPIPE, NULL);
    block_signals(0);
    if ((directory[0] && (result = call1(SYS_chdir, directory)) < 0) ||
        (user.given && (result = become_user(in_fd)) < 0)) {
        *error = (int)result;
        call1(SYS_exit, 127);
    }
    for (i = 0; argv[0][i]; i++)
        if (argv[0][i] == '/') {
            *error = (int)call3(SYS_execve, argv[0], argv, envp);
            call1(SYS_exit, 127);
        }
    for (i = 0; envp[i]; i++)
        if (envp[i][0] == 'P' && envp[i][1] == 'A' && envp[i][2] == 'T' && envp[i][3] == 'H' &&
            envp[i][4] == '=')
            search = envp[i] + 5;
    while (*search) {
        u32 n = 0;
        while (*search && *search != ':' && n < 2048) path[n++] = *search++;
        if (*search == ':') search++;
        if (n == 0) path[n++] = '.';
        path[n] = 0;
        append(path, sizeof path, "/");
        append(path, sizeof path, argv[0]);
        result = call3(SYS_execve, path, argv, envp);
        /* As execvp has it: an entry that exists and may not be run is told, if none other runs. */
        if (result != -ENOENT && result != -ENOTDIR && first == -ENOENT) first = result;
    }
    *error = (int)first;
    call1(SYS_exit, 127);
}

static void close_both(int *pair) {
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

/*
 * u8 flags, u8 groups, u16 columns, u16 rows, u16 argc, u16 envc; with EXEC_USER u32 uid, u32 gid and
 * that many u32 groups; then texts that end in a zero byte: working directory, argv, environment.
 */
static void start_command(u32 id, const u8 *payload, u32 length) {
    static char *texts[8192];
    char **argv, **envp;
    const char *directory;
    struct channel *c;
    u32 flags, argc, envc, at, i;
    int input[2], output[2], errors[2], terminal = -1, master = -1, pid;
    volatile int error = 0;
    i64 result = 0;

    if (length < 11 || payload[length - 1] != 0) { end_with_error(id, -EPROTO); return; }
    flags = payload[0];
    argc = get16(payload + 6);
    envc = get16(payload + 8);
    if (argc == 0 || argc + envc + 2 > sizeof texts / sizeof texts[0]) {
        end_with_error(id, -EINVAL);
        return;
    }
    at = 10;
    if ((user.given = flags & EXEC_USER)) {
        if (length < at + 8 + 4u * payload[1] + 1) { end_with_error(id, -EPROTO); return; }
        user.uid = get32(payload + at);
        user.gid = get32(payload + at + 4);
        at += 8;
        /* The first is its own group once more, as a user's login has it. */
        user.groups[0] = user.gid;
        for (i = 0; i < payload[1]; i++, at += 4) user.groups[i + 1] = get32(payload + at);
        user.count = payload[1] + 1;
    }
    directory = (const char *)payload + at;
    at += (u32)length_of(directory) + 1;
    argv = texts;
    envp = texts + argc + 1;
    for (i = 0; i < argc + envc; i++) {
        if (at >= length) { end_with_error(id, -EPROTO); return; }
        (i < argc ? argv : envp - argc)[i] = (char *)payload + at;
        at += (u32)length_of((const char *)payload + at) + 1;
    }
    argv[argc] = envp[envc] = NULL;

    input[0] = input[1] = output[0] = output[1] = errors[0] = errors[1] = -1;
    if (flags & EXEC_CONSOLE) {
        terminal = (int)(result = call3(SYS_open, "/dev/tty0", O_RDWR | O_NOCTTY | O_CLOEXEC, 0));
    } else if (flags & EXEC_TERMINAL) {
        int unlock = 0;
        struct window_size size;
        master = (int)(result = call3(SYS_open, "/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0));
        if (result >= 0) {
            size.columns = (u16)get16(payload + 2);
            size.rows = (u16)get16(payload + 4);
            size.x = size.y = 0;
            call3(SYS_ioctl, master, 0x40045431 /* TIOCSPTLCK */, &unlock);
            call3(SYS_ioctl, master, 0x5414 /* TIOCSWINSZ */, &size);
            terminal = (int)(result = call3(SYS_ioctl, master, 0x5441 /* TIOCGPTPEER */,
                                            O_RDWR | O_NOCTTY | O_CLOEXEC));
        }
    } else if (flags & EXEC_SOCKET) {
        result = call4(SYS_socketpair, 1 /* AF_UNIX */, 1 | O_CLOEXEC /* SOCK_STREAM */, 0, input);
        if (result >= 0) result = call2(SYS_pipe2, errors, O_CLOEXEC);
    } else {
        if (!(flags & EXEC_NO_INPUT)) result = call2(SYS_pipe2, input, O_CLOEXEC);
        if (result >= 0) result = call2(SYS_pipe2, output, O_CLOEXEC);
        if (result >= 0) result = call2(SYS_pipe2, errors, O_CLOEXEC);
    }
    if (result < 0) {
        close_both(input), close_both(output), close_both(errors);
        close_fd(&master), close_fd(&terminal);
        end_with_error(id, result);
        return;
    }

    pid = (int)virtual_fork();
    if (pid == 0) {
        if (terminal >= 0) execute(directory, argv, envp, 1, terminal, terminal, terminal, &error);
        if (flags & EXEC_SOCKET)
            execute(directory, argv, envp, 0, input[0], input[0], errors[1], &error);
        execute(directory, argv, envp, 0, input[0] < 0 ? null_device : input[0], output[1], errors[1],
                &error);
    }

    c = open_channel(id, COMMAND);
    close_fd(&input[0]), close_fd(&output[1]), close_fd(&errors[1]);
    if (pid < 0 || error) {
        close_fd(&input[1]), close_fd(&output[0]), close_fd(&errors[0]);
        close_fd(&master), close_fd(&terminal);
        c->how = EXIT_ERRNO;
        c->value = pid < 0 ? -pid : -error;
        finish(id, c);
        return; /* what was forked is reaped by the loop */
    }
    c->pid = pid;
    if (terminal >= 0) {
        close_fd(&terminal);
        c->terminal = 1;
        c->output[0] = master;
        if (master >= 0) c->input = (int)call3(SYS_fcntl, master, 1030 /* F_DUPFD_CLOEXEC */, 3);
    } else if (flags & EXEC_SOCKET) {
        /* Two descriptors of one socket, so that each direction ends on its own. */
        c->input = input[1];
        c->output[0] = (int)call3(SYS_fcntl, input[1], 1030, 3);
        c->output[1] = errors[0];
    } else {
        c->input = input[1];
        c->output[0] = output[0];
        c->output[1] = errors[0];
    }
    if (c->input >= 0 && !c->terminal) call3(SYS_fcntl, c->input, 4 /* F_SETFL */, O_RDWR | O_NONBLOCK);
}

static void close_input(struct channel *c) {
    if (c->input < 0) return;
    if (c->terminal)
        call3(SYS_write, c->input, "\004", 1); /* the terminal's end of file */
    else
        call2(SYS_shutdown, c->input, 1); /* matters to a socket; a pipe refuses it */
    close_fd(&c->input);
}

/* Gives the command what waits in the buffer, as far as it takes it. */
static void feed(u32 id, struct channel *c) {
    while (c->filled > 0 && c->input >= 0) {
        u32 run = INPUT_WINDOW - c->start < c->filled ? INPUT_WINDOW - c->start : c->filled;
        i64 n = call3(SYS_write, c->input, c->buffer + c->start, run);
        if (n == -EINTR) continue;
        if (n == -EAGAIN) break;
        if (n <= 0) { /* it closed its input: what still comes is dropped */
            close_fd(&c->input);
            break;
        }
        c->start = (c->start + (u32)n) % INPUT_WINDOW;
        c->filled -= (u32)n;
        c->taken += (u32)n;
    }
    if (c->input < 0) {
        c->taken += c->filled;
        c->filled = 0;
    }
    if (c->filled == 0 && c->input_ended) close_input(c);
    send_credit(id, c, c->filled == 0);
}

static void take_input(u32 id, struct channel *c, const u8 *data, u32 length) {
    u32 end, first;
    if (c->kind == WRITER) {
        while (length > 0 && c->how == EXIT_CODE) {
            i64 n = call3(SYS_write, c->input, data, length);
            if (n == -EINTR) continue;
            if (n <= 0) {
                c->how = EXIT_ERRNO;
                c->value = n == 0 ? EIO : (int)-n;
                break;
            }
            data += n, length -= (u32)n, c->taken += (u32)n;
        }
        c->taken += length;
        send_credit(id, c, 0);
        return;
    }
    /* The common case: nothing waits, and the command takes it at once. */
    while (c->filled == 0 && length > 0 && c->input >= 0) {
        i64 n = call3(SYS_write, c->input, data, length);
        if (n == -EINTR) continue;
        if (n == -EAGAIN) break;
        if (n <= 0) {
            close_fd(&c->input);
            break;
        }
        data += n, length -= (u32)n, c->taken += (u32)n;
    }
    if (c->input < 0) {
        c->taken += length;
        length = 0;
    }
    if (length > 0) {
        if (c->buffer == NULL) {
            i64 at = call6(SYS_mmap, NULL, INPUT_WINDOW, 3, 0x22 /* private, anonymous */, -1, 0);
            if (at < 0 && at > -4096) give_up("no memory for input", at);
            c->buffer = (u8 *)at;
            c->start = 0;
        }
        if (length > INPUT_WINDOW - c->filled) power(POWER_OFF); /* more than was granted */
        end = (c->start + c->filled) % INPUT_WINDOW;
        first = INPUT_WINDOW - end < length ? INPUT_WINDOW - end : length;
        memcpy(c->buffer + end, data, first);
        memcpy(c->buffer, data + first, length - first);
        c->filled += length;
    }
    send_credit(id, c, c->filled == 0);
}

/* ---- files ---- */

static void make_parents(char *path) {
    u32 i;
    for (i = 1; path[i]; i++)
        if (path[i] == '/') {
            path[i] = 0;
            call2(SYS_mkdir, path, 0755);
            path[i] = '/';
        }
}

static void start_reading(u32 id, const u8 *payload, u32 length) {
    struct channel *c;
    i64 fd;
    if (length < 2 || payload[length - 1] != 0) { end_with_error(id, -EPROTO); return; }
    fd = call3(SYS_open, payload, O_RDONLY | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0) { end_with_error(id, fd); return; }
    c = open_channel(id, READER);
    c->output[0] = (int)fd;
}

/* u8 flags, u8 0, u16 mode, path and a zero byte; then DATA, and CLOSE of the input. */
static void start_writing(u32 id, u8 *payload, u32 length) {
    struct channel *c;
    u32 mode;
    i64 fd;
    char *path = (char *)payload + 4;
    c = open_channel(id, WRITER);
    if (length < 6 || payload[length - 1] != 0) {
        c->how = EXIT_ERRNO;
        c->value = EPROTO;
        return;
    }
    mode = get16(payload + 2) & 07777;
    if (payload[0] & WRITE_PARENTS) make_parents(path);
    fd = call3(SYS_open, path,
               O_WRONLY | O_NOCTTY | O_CLOEXEC | (payload[0] & WRITE_CREATE ? O_CREAT | O_TRUNC : 0), mode);
    if (fd < 0) {
        c->how = EXIT_ERRNO;
        c->value = (int)-fd;
        return;
    }
    c->input = (int)fd;
    if (payload[0] & WRITE_CREATE) call2(SYS_fchmod, fd, mode);
}

/* Hands messages to the kernel's routing socket, and its answers back. */
static void ask_netlink(u32 id, const u8 *payload, u32 length) {
    static int socket = -1;
    u16 kernel[6]; /* struct sockaddr_nl, port and groups 0 */
    i64 n;
    memset(kernel, 0, sizeof kernel);
    kernel[0] = 16; /* AF_NETLINK */
    if (socket < 0) {
        n = call3(SYS_socket, 16, 3 | O_CLOEXEC /* SOCK_RAW */, 0 /* NETLINK_ROUTE */);
        if (n < 0) { end_with_error(id, n); return; }
        socket = (int)n;
    }
    n = call6(SYS_sendto, socket, payload, length, 0, kernel, sizeof kernel);
    if (n < 0) { end_with_error(id, n); return; }
    for (;;) {
        n = call6(SYS_recvfrom, socket, scratch, sizeof scratch, 0x40 /* MSG_DONTWAIT */, NULL, NULL);
        if (n == -EINTR) continue;
        if (n <= 0) break;
        memcpy(frame(id, FRAME_DATA, STREAM_OUTPUT, (u32)n), scratch, (u64)n);
    }
    if (n != -EAGAIN) end_with_error(id, n);
    else send_exit(id, EXIT_CODE, 0);
}

/* ---- frames in ---- */

static void take_frame(u32 id, u32 type, u32 stream, u8 *payload, u32 length) {
    struct channel *c;
    if (type == FRAME_POWER) {
        flush();
        power(length > 0 ? payload[0] : POWER_OFF);
    }
    if (id >= MAX_CHANNELS) return;
    c = &channels[id];
    switch (type) {
    case FRAME_EXEC: if (c->kind == FREE) start_command(id, payload, length); return;
    case FRAME_READ: if (c->kind == FREE) start_reading(id, payload, length); return;
    case FRAME_WRITE: if (c->kind == FREE) start_writing(id, payload, length); return;
    case FRAME_NETLINK: if (c->kind == FREE) ask_netlink(id, payload, length); return;
    }
    /* What crossed with the end of its channel on the way is no error. */
    if (c->kind == FREE) return;
    switch (type) {
    case FRAME_DATA:
        if (stream == STREAM_INPUT) take_input(id, c, payload, length);
        return;
    case FRAME_CLOSE:
        if (stream == STREAM_INPUT && c->kind == WRITER) {
            finish(id, c);
        } else if (stream == STREAM_INPUT) {
            c->input_ended = 1;
            if (c->filled == 0) close_input(c);
        } else if (c->kind == READER) {
            finish(id, c);
        } else if (stream == STREAM_OUTPUT || stream == STREAM_ERROR) {
            close_fd(&c->output[stream - 1]);
        }
        return;
    case FRAME_CREDIT:
        if ((stream == STREAM_OUTPUT || stream == STREAM_ERROR) && length == 4)
            c->credit[stream - 1] += get32(payload);
        return;
    case FRAME_RESIZE:
        if (c->terminal && c->output[0] >= 0 && length == 4) {
            struct window_size size;
            size.columns = (u16)get16(payload);
            size.rows = (u16)get16(payload + 2);
            size.x = size.y = 0;
            call3(SYS_ioctl, c->output[0], 0x5414 /* TIOCSWINSZ */, &size);
        }
        return;
    case FRAME_KILL:
        if (c->pid > 0 && length == 1) call2(SYS_kill, -c->pid, payload[0]);
        return;
    }
}

/* A payload from the inbox: read past the cache, which would not know of what is new there. */
static u8 *fetch(u32 place, u32 length) {
    u8 *at = (u8 *)(((u64)long_area + INBOX_UNIT - 1) & ~(u64)(INBOX_UNIT - 1));
    u32 size = (length + INBOX_UNIT - 1) & ~(u32)(INBOX_UNIT - 1);
    i64 n = call4(SYS_pread64, inbox, at, size, place);
    if (n != (i64)size) give_up("the inbox can't be read", n);
    return at;
}

/* Drops what was meant for the system before a reboot; true once START with our nonce is there. */
static int find_start(u32 *at) {
    for (; in_filled - *at >= HEADER_BYTES + 4; ++*at) {
        const u8 *p = in + *at;
        if (p[2] == FRAME_START && get32(p + 4) == 4 && get32(p + HEADER_BYTES) == nonce) {
            *at += HEADER_BYTES + 4;
            return 1;
        }
    }
    return 0;
}

static void read_line(void) {
    u32 at = 0;
    int was_long = 0;
    i64 n = call3(SYS_read, line, in + in_filled, sizeof in - in_filled);
    if (n == -EINTR || n == -EAGAIN) return;
    if (n <= 0) power(POWER_OFF); /* the supervisor is gone */
    in_filled += (u32)n;
    if (!started && (started = find_start(&at))) line_taken = HEADER_BYTES + 4;
    while (started && in_filled - at >= HEADER_BYTES) {
        u8 *header = in + at;
        u32 length = get32(header + 4), is_long = header[2] & FRAME_LONG;
        u32 size = HEADER_BYTES + (is_long ? 4 : length);
        if (length > MAX_PAYLOAD || size > LINE_WINDOW) give_up("a frame is too long", 0);
        if (in_filled - at < size) break;
        take_frame(get16(header), header[2] & ~FRAME_LONG, header[3],
                   is_long ? fetch(get32(header + HEADER_BYTES), length) : header + HEADER_BYTES, length);
        at += size;
        line_taken += size;
        if (is_long) was_long = 1;
    }
    if (at > 0) {
        move_down(in, in + at, in_filled - at);
        in_filled -= at;
    }
    if (started && (was_long || line_taken >= TAKEN_STEP)) {
        put32(frame(0, FRAME_TAKEN, 0, 4), line_taken);
        line_taken = 0;
    }
}

/* ---- the loop ---- */

static void reap(void) {
    int status, i;
    i64 pid;
    child_ended = 0;
    while ((pid = call4(SYS_wait4, -1, &status, 1 /* WNOHANG */, NULL)) > 0)
        for (i = 0; i < highest; i++) {
            struct channel *c = &channels[i];
            if (c->kind != COMMAND || c->pid != pid) continue;
            c->pid = 0;
            c->how = (status & 0x7f) ? EXIT_SIGNAL : EXIT_CODE;
            c->value = (status & 0x7f) ? (status & 0x7f) : (status >> 8) & 0xff;
        }
}

/* Reads what a command wrote, as far as credit and our buffer go. */
static void drain(u32 id, struct channel *c, int which) {
    i64 room = OUT_BYTES - OUT_RESERVE - (i64)out_filled - HEADER_BYTES;
    i64 want = MAX_DATA < c->credit[which] ? MAX_DATA : c->credit[which];
    u32 before = out_filled;
    i64 n;
    if (want > room) want = room;
    if (want <= 0) return;
    n = call3(SYS_read, c->output[which], out + before + HEADER_BYTES, want);
    if (n == -EINTR || n == -EAGAIN) return;
    if (n <= 0) {
        if (c->kind == READER && n < 0) {
            c->how = EXIT_ERRNO;
            c->value = (int)-n;
        }
        close_fd(&c->output[which]);
        if (c->kind == READER) finish(id, c);
        return;
    }
    frame(id, FRAME_DATA, (u32)which + 1, (u32)n); /* writes the header before what was read */
    c->credit[which] -= n;
}

static int ready(int slot, int events) {
    return slot >= 0 && (polls[slot].revents & (events | POLLHUP | POLLERR));
}

static int watch(int *count, int fd, int events) {
    polls[*count].fd = fd;
    polls[*count].events = (short)events;
    polls[*count].revents = 0;
    return (*count)++;
}

static void serve(void) {
    u64 nothing_blocked = 0;
    i64 at_once[2];
    at_once[0] = at_once[1] = 0;
    for (;;) {
        int count = 0, hurry = 0, i, which, kept;
        int room = out_filled + OUT_RESERVE + HEADER_BYTES + 4096 < OUT_BYTES;

        if (out_start > 0 && !room) {
            move_down(out, out + out_start, out_filled - out_start);
            out_filled -= out_start;
            out_start = 0;
            room = out_filled + OUT_RESERVE + HEADER_BYTES + 4096 < OUT_BYTES;
        }
        watch(&count, line, out_filled ? POLLIN | POLLOUT : POLLIN);
        while (highest > 0 && channels[highest - 1].kind == FREE) highest--;
        for (i = 0; i < highest; i++) {
            struct channel *c = &channels[i];
            c->slot[0] = c->slot[1] = c->slot[2] = -1;
            if (c->kind == FREE || c->kind == WRITER) continue;
            if (c->filled > 0 && c->input >= 0) c->slot[0] = watch(&count, c->input, POLLOUT);
            for (which = 0; which < 2; which++)
                if (c->output[which] >= 0 && c->credit[which] > 0 && room)
                    c->slot[which + 1] = watch(&count, c->output[which], POLLIN);
            /* An ended command is done once a look at its streams finds nothing more. */
            c->settled = c->kind == COMMAND && c->pid == 0;
            if (c->settled) hurry = 1;
            for (which = 0; which < 2; which++)
                if (c->output[which] >= 0 && c->slot[which + 1] < 0) {
                    if (c->settled && room) hurry = 0;
                    c->settled = 0;
                }
        }
        for (i = 0; i < lingering_count; i++) watch(&count, lingering[i], POLLIN);

        if (call5(SYS_ppoll, polls, count, hurry ? at_once : NULL, &nothing_blocked, 8) == -EINTR) {
            for (i = 0; i < count; i++) polls[i].revents = 0;
            for (i = 0; i < highest; i++) channels[i].settled = 0;
        }
        if (asked_off || asked_reboot) power(asked_reboot ? POWER_REBOOT : POWER_OFF);
        if (child_ended) reap();

        for (i = kept = 0; i < lingering_count; i++) {
            struct pollfd *p = &polls[count - lingering_count + i];
            int over = p->revents && call3(SYS_read, p->fd, scratch, sizeof scratch) <= 0;
            if (over) call1(SYS_close, p->fd);
            else lingering[kept++] = p->fd;
        }
        lingering_count = kept;

        for (i = 0; i < highest; i++) {
            struct channel *c = &channels[i];
            if (c->kind == FREE) continue;
            if (ready(c->slot[0], POLLOUT)) feed((u32)i, c);
            for (which = 0; which < 2 && c->kind != FREE; which++)
                if (c->output[which] >= 0 && ready(c->slot[which + 1], POLLIN)) {
                    drain((u32)i, c, which);
                    c->settled = 0;
                }
            if (c->kind == COMMAND && c->pid == 0 && c->settled) finish((u32)i, c);
            else if (c->kind == COMMAND && c->pid == 0 && c->output[0] < 0 && c->output[1] < 0)
                finish((u32)i, c);
        }
        if (ready(0, POLLIN)) read_line();
        flush();
    }
}

/* ---- the way up ---- */

static const char *variable(char **envp, const char *name) {
    u64 n = length_of(name);
    for (; *envp; envp++) {
        u64 i = 0;
        while (i < n && (*envp)[i] == name[i]) i++;
        if (i == n && (*envp)[n] == '=') return *envp + n + 1;
    }
    return NULL;
}

static i64 mount(const char *what, const char *where, const char *type, u64 flags, const char *data) {
    call2(SYS_mkdir, where, 0755);
    return call5(SYS_mount, what, where, type, flags, data);
}

/* /modules/list: a line a module, its file and its parameters. Removed afterwards: that is RAM. */
static void load_modules(void) {
    static char list[8192];
    char path[256];
    i64 fd = call3(SYS_open, "/modules/list", O_RDONLY | O_CLOEXEC, 0), n;
    char *at = list;
    if (fd < 0) return;
    n = call3(SYS_read, fd, list, sizeof list - 1);
    call1(SYS_close, fd);
    if (n < 0) n = 0;
    list[n] = 0;
    while (*at) {
        char *name = at, *parameters;
        while (*at && *at != ' ' && *at != '\n') at++;
        parameters = at;
        if (*at == ' ') {
            *at++ = 0;
            parameters = at;
            while (*at && *at != '\n') at++;
        }
        if (*at == '\n') *at++ = 0;
        path[0] = 0;
        append(path, sizeof path, "/modules/");
        append(path, sizeof path, name);
        fd = call3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
        n = fd < 0 ? fd : call3(SYS_finit_module, fd, parameters, 0);
        if (n < 0 && n != -EEXIST) {
            append(path, sizeof path, " could not be loaded");
            say(path, n);
        }
        if (fd >= 0) call1(SYS_close, fd);
        path[0] = 0;
        append(path, sizeof path, "/modules/");
        append(path, sizeof path, name);
        call1(SYS_unlink, path);
    }
}

static void lo_up(void) {
    u8 request[40]; /* struct ifreq */
    i64 fd = call3(SYS_socket, 2, 2 | O_CLOEXEC, 0);
    memset(request, 0, sizeof request);
    request[0] = 'l', request[1] = 'o';
    request[16] = 0x41; /* IFF_UP | IFF_RUNNING */
    call3(SYS_ioctl, fd, 0x8914 /* SIOCSIFFLAGS */, request);
    call1(SYS_close, fd);
}

/* A disk that is larger than its file system has grown since: the file system follows. */
static void fill_disk(const char *device) {
    u64 status[15], bytes, blocks;
    i64 fd = call3(SYS_open, device, O_RDONLY | O_CLOEXEC, 0), result;
    if (fd < 0) return;
    result = call3(SYS_ioctl, fd, 0x80081272 /* BLKGETSIZE64 */, &bytes);
    call1(SYS_close, fd);
    if (result < 0 || call2(SYS_statfs, "/upper", status) < 0 || status[1] == 0) return;
    blocks = bytes / status[1];
    /* Never less than it has: the kernel refuses to shrink, and does nothing for the same size. */
    result = call3(SYS_ioctl, upper, 0x40086610 /* EXT4_IOC_RESIZE_FS */, &blocks);
    if (result < 0 && result != -EINVAL) say("the disk's file system could not grow", result);
}

/* The writable layer: the guest's disk where it has one, else RAM. */
static void mount_upper(const char *disk) {
    i64 error;
    if (disk == NULL) {
        if ((error = mount("tmpfs", "/upper", "tmpfs", 0, "mode=755,size=100%")) < 0)
            give_up("no tmpfs for the writable layer", error);
        return;
    }
    /* discard: what is deleted leaves the host's file as well. */
    if ((error = mount("/dev/ubdd", "/upper", disk, MS_NOATIME, "discard")) < 0)
        give_up("the disk could not be mounted", error);
    upper = (int)call3(SYS_open, "/upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (upper >= 0) fill_disk("/dev/ubdd");
}

static void make_root(const char *type, const char *modules, const char *disk) {
    i64 error;
    if ((error = mount("/dev/ubda", "/lower", type, MS_RDONLY, NULL)) < 0)
        give_up("the image could not be mounted", error);
    mount_upper(disk);
    call2(SYS_mkdir, "/upper/data", 0755);
    call2(SYS_mkdir, "/upper/work", 0755);
    if ((error = mount("overlay", "/root", "overlay", 0,
                       "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work")) < 0)
        give_up("the overlay could not be mounted", error);
    /* The kernel's own modules; without them the guest still has what is loaded. */
    if (modules) {
        call2(SYS_mkdir, "/root/lib", 0755); /* where it is a link to usr/lib, it stays one */
        mount("/dev/ubdc", "/root/lib/modules", modules, MS_RDONLY, NULL);
    }
    call2(SYS_mkdir, "/root/dev", 0755);
    call2(SYS_mkdir, "/root/proc", 0555);
    call2(SYS_mkdir, "/root/sys", 0555);
    call5(SYS_mount, "/dev", "/root/dev", NULL, MS_MOVE, NULL);
    call5(SYS_mount, "/proc", "/root/proc", NULL, MS_MOVE, NULL);
    call5(SYS_mount, "/sys", "/root/sys", NULL, MS_MOVE, NULL);
    call1(SYS_unlink, "/init");
    call1(SYS_chdir, "/root");
    if ((error = call5(SYS_mount, ".", "/", NULL, MS_MOVE, NULL)) < 0)
        give_up("the root could not be moved", error);
    call1(SYS_chroot, ".");
    call1(SYS_chdir, "/");
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,gid=5,ptmxmode=666");
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    call2(SYS_mkdir, "/run", 0755); /* the image's own, on the writable layer: what daemons need is there */
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    call2(SYS_symlink, "/proc/self/fd", "/dev/fd");
    call2(SYS_symlink, "/proc/self/fd/0", "/dev/stdin");
    call2(SYS_symlink, "/proc/self/fd/1", "/dev/stdout");
    call2(SYS_symlink, "/proc/self/fd/2", "/dev/stderr");
}

struct termios {
    u32 input, output, control, local;
    u8 discipline, characters[19];
};

static void open_line(void) {
    struct termios raw;
    line = (int)call3(SYS_open, "/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
    if (line < 0) give_up("no serial line", line);
    call3(SYS_ioctl, line, 0x5401 /* TCGETS */, &raw);
    raw.input = raw.output = raw.local = 0;
    raw.control |= 0x8b0; /* CS8, CREAD, CLOCAL */
    raw.characters[6 /* VMIN */] = 1;
    raw.characters[5 /* VTIME */] = 0;
    call3(SYS_ioctl, line, 0x5402 /* TCSETS */, &raw);
}

static void note_child(int signal) { (void)signal; child_ended = 1; }
static void note_off(int signal) { (void)signal; asked_off = 1; }
static void note_reboot(int signal) { (void)signal; asked_reboot = 1; }

/* What `poweroff`, `halt` and `reboot` of busybox and sysvinit send to the first process. */
static void catch_signals(void) {
    block_signals(1ul << (SIGCHLD - 1) | 1ul << (SIGUSR1 - 1) | 1ul << (SIGUSR2 - 1) |
                  1ul << (SIGTERM - 1));
    on_signal(SIGCHLD, note_child);
    on_signal(SIGUSR1, note_off);
    on_signal(SIGUSR2, note_off);
    on_signal(SIGTERM, note_reboot);
    on_signal(SIGPIPE, SIG_IGN);
}

void start(i64 *stack) {
    char **envp = (char **)(stack + stack[0] + 2);
    const char *type = variable(envp, "lab_root");
    u8 *hello;
    i64 now[2];
    int fd;
    if (call0(SYS_getpid) != 1) sys_exit(64);
    call1(SYS_umask, 0);
    mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    inbox = (int)call3(SYS_open, "/dev/ubdb", O_RDONLY | O_DIRECT | O_CLOEXEC, 0);
    load_modules();
    lo_up();
    if (type) make_root(type, variable(envp, "lab_modules"), variable(envp, "lab_disk"));
    call1(SYS_umask, 022);
    null_device = (int)call3(SYS_open, "/dev/null", O_RDWR | O_CLOEXEC, 0);
    /* Our own standard streams: nothing, so that no command inherits the console by accident. */
    for (fd = 0; fd < 3; fd++) call2(SYS_dup2, null_device, fd);
    catch_signals();
    open_line();
    call2(SYS_clock_gettime, 0, now);
    nonce = (u32)now[0] * 1000003u ^ (u32)now[1];
    hello = frame(0, FRAME_HELLO, 0, 8);
    put32(hello, PROTOCOL_VERSION);
    put32(hello + 4, nonce);
    flush();
    serve();
}
