/*
 * System calls and start code for small static programs without a C library, x86-64 Linux.
 *
 * Compiles with gcc, clang and tcc 0.9.27. What tcc lacks is avoided: register variables bound to
 * registers, varargs, builtins; so the stubs are plain assembly functions.
 */
#ifndef SYS_H
#define SYS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#define NULL ((void *)0)

/* linux: arch/x86/entry/syscalls/syscall_64.tbl */
enum {
    SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_fstat = 5, SYS_mmap = 9,
    SYS_munmap = 11, SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_ioctl = 16, SYS_pread64 = 17, SYS_dup2 = 33,
    SYS_getpid = 39, SYS_socket = 41, SYS_sendto = 44, SYS_recvfrom = 45, SYS_shutdown = 48,
    SYS_bind = 49, SYS_socketpair = 53, SYS_fork = 57, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61,
    SYS_kill = 62, SYS_fcntl = 72, SYS_chdir = 80, SYS_rename = 82, SYS_mkdir = 83, SYS_unlink = 87,
    SYS_symlink = 88, SYS_fchmod = 91, SYS_fchown = 93, SYS_umask = 95, SYS_getuid = 102,
    SYS_getgid = 104, SYS_setuid = 105, SYS_setgid = 106, SYS_setgroups = 116,
    SYS_setpgid = 109, SYS_getppid = 110, SYS_setsid = 112, SYS_personality = 135, SYS_statfs = 137,
    SYS_ptrace = 101, SYS_pivot_root = 155, SYS_prctl = 157, SYS_chroot = 161, SYS_setrlimit = 160, SYS_sync = 162, SYS_mount = 165,
    SYS_umount2 = 166, SYS_reboot = 169, SYS_sched_setaffinity = 203, SYS_exit_group = 231,
    SYS_unshare = 272, SYS_ppoll = 271, SYS_pipe2 = 293, SYS_capset = 126, SYS_finit_module = 313, SYS_clock_gettime = 228,
    SYS_close_range = 436, SYS_landlock_create_ruleset = 444, SYS_landlock_add_rule = 445,
    SYS_landlock_restrict_self = 446
};

enum { EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENOEXEC = 8, EAGAIN = 11, ENOMEM = 12,
       EACCES = 13, EEXIST = 17, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EPIPE = 32,
       ENAMETOOLONG = 36, EPROTO = 71 };

enum { SIGHUP = 1, SIGINT = 2, SIGKILL = 9, SIGUSR1 = 10, SIGUSR2 = 12, SIGPIPE = 13, SIGTERM = 15,
       SIGCHLD = 17, SIGSTOP = 19 };

enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_NOCTTY = 0400, O_TRUNC = 01000,
       O_NONBLOCK = 04000, O_DIRECT = 040000, O_DIRECTORY = 0200000, O_CLOEXEC = 02000000, O_PATH = 010000000 };

enum { MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_REMOUNT = 32, MS_NOATIME = 1024, MS_BIND = 4096,
       MS_MOVE = 8192, MS_REC = 16384, MS_PRIVATE = 1 << 18 };

/* All six arguments, always: system_call(number, a, b, c, d, e, f). */
i64 system_call(i64 number, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f);
/*
 * vfork: the child borrows the caller's memory and stack, and the caller waits until the child
 * executes or exits. The return address is kept in a register, as the child would overwrite it.
 */
i64 virtual_fork(void);
void signal_return(void);

asm(".text\n"
    ".globl _start\n"
    "_start:\n"
    "  xorq %rbp, %rbp\n"
    "  movq %rsp, %rdi\n"
    "  andq $-16, %rsp\n"
    "  call start\n"
    ".globl system_call\n"
    "system_call:\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    "  ret\n"
    ".globl virtual_fork\n"
    "virtual_fork:\n"
    "  popq %rdx\n"
    "  movq $58, %rax\n"
    "  syscall\n"
    "  pushq %rdx\n"
    "  ret\n"
    ".globl signal_return\n"
    "signal_return:\n"
    "  movq $15, %rax\n"
    "  syscall\n");

#define call0(n) system_call(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) system_call(n, (i64)(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) system_call(n, (i64)(a), (i64)(b), 0, 0, 0, 0)
#define call3(n, a, b, c) system_call(n, (i64)(a), (i64)(b), (i64)(c), 0, 0, 0)
#define call4(n, a, b, c, d) system_call(n, (i64)(a), (i64)(b), (i64)(c), (i64)(d), 0, 0)
#define call5(n, a, b, c, d, e) system_call(n, (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), 0)
#define call6(n, a, b, c, d, e, f) \
    system_call(n, (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), (i64)(f))

/* Compilers call these by name for structures and arrays. */
void *memset(void *to, int value, u64 size) {
    u8 *p = to;
    while (size--) *p++ = (u8)value;
    return to;
}

void *memcpy(void *to, const void *from, u64 size) {
    u8 *t = to;
    const u8 *f = from;
    while (size >= 8) {
        *(u64 *)t = *(const u64 *)f;
        t += 8, f += 8, size -= 8;
    }
    while (size--) *t++ = *f++;
    return to;
}

/* Downwards in memory only (`to` below `from`): what buffers here need. */
static void move_down(u8 *to, const u8 *from, u64 size) {
    u64 i;
    for (i = 0; i < size; i++) to[i] = from[i];
}

static u64 length_of(const char *text) {
    u64 n = 0;
    while (text[n]) n++;
    return n;
}

static int equal(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* Appends to a text of `room` bytes, always terminated. */
static void append(char *to, u64 room, const char *text) {
    u64 n = length_of(to);
    while (n + 1 < room && *text) to[n++] = *text++;
    to[n] = 0;
}

static void append_number(char *to, u64 room, i64 value) {
    char digits[24];
    int n = 23;
    u64 rest = value < 0 ? (u64)-value : (u64)value;
    digits[n] = 0;
    do {
        digits[--n] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) digits[--n] = '-';
    append(to, room, digits + n);
}

static void sys_exit(int status) {
    for (;;) call1(SYS_exit_group, status);
}

struct sigaction {
    void (*handler)(int);
    u64 flags;
    void (*restorer)(void);
    u64 mask;
};

#define SA_RESTORER 0x04000000
#define SIG_IGN ((void (*)(int))1)

static void on_signal(int signal, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.handler = handler;
    action.flags = SA_RESTORER;
    action.restorer = signal_return;
    call4(SYS_rt_sigaction, signal, &action, NULL, 8);
}

/* mask: bit n-1 stands for signal n. */
static void block_signals(u64 mask) {
    call4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &mask, NULL, 8);
}

#endif
