/*
 * Starts a guest's kernel so that it sees nothing of the host it was not given, and dies with its
 * supervisor.
 *
 *     launcher --sandbox namespaces|landlock|none --parent PID [--cpu N] [--shm BYTES]
 *              [--stop] [--remove FOLDER] [--ro FROM TO]... [--rw FROM TO]... -- PROGRAM ARGUMENT...
 *     launcher --nothing                  (does nothing: what a probe of the sandbox executes)
 *
 * namespaces: own user, mount, pid, network, IPC, UTS and cgroup namespaces, a root of its own with
 *   only the named files, four devices and private tmpfs on /dev/shm (the guest's RAM) and
 *   /uml, no capability, no further user namespaces. No right is needed where the host allows user namespaces.
 * landlock: only the named files can be opened (FROM counts, TO is ignored).
 *
 * In all of them: no address randomization (else the kernel loses RAM to a gap), no core dumps, no
 * new privileges, pinned to one CPU if asked. FROM must be free of symbolic links.
 *
 *     supervisor -> launcher -> (first process of the pid namespace) -> PROGRAM -> its processes
 *
 * --stop: PROGRAM stands (as after SIGSTOP) at its first instruction until it gets SIGCONT.
 * --remove: an empty folder that goes when the program has ended; not with namespaces.
 * Exit status: the program's; 128 + signal; 125 where the sandbox could not be made.
 */
#include "sys.h"

#define MAX_BINDS 64

struct bind {
    const char *from, *to;
    int writable;
};

static struct bind binds[MAX_BINDS];
static int bind_count;
static int child;
static int stops;
static const char *to_remove;

static void fail(const char *what, const char *detail, i64 error) {
    char text[1024];
    text[0] = 0;
    append(text, sizeof text, "launcher: ");
    append(text, sizeof text, what);
    append(text, sizeof text, detail);
    if (error) {
        append(text, sizeof text, ": error ");
        append_number(text, sizeof text, -error);
    }
    append(text, sizeof text, "\n");
    call3(SYS_write, 2, text, length_of(text));
    sys_exit(125);
}

static void check(i64 result, const char *what, const char *detail) {
    if (result < 0) fail(what, detail, result);
}

static u64 number_of(const char *text) {
    u64 value = 0;
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (u64)(*text - '0');
    return value;
}

static i64 write_text(const char *path, const char *text) {
    i64 fd = call3(SYS_open, path, O_WRONLY | O_CLOEXEC, 0), n;
    if (fd < 0) return fd;
    n = call3(SYS_write, fd, text, length_of(text));
    call1(SYS_close, fd);
    return n;
}

static void map_id(const char *path, i64 id) {
    char text[64];
    text[0] = 0;
    append_number(text, sizeof text, id);
    append(text, sizeof text, " ");
    append_number(text, sizeof text, id);
    append(text, sizeof text, " 1\n");
    check(write_text(path, text), "could not write ", path);
}

/* The parent may have ended before we asked to be told: then it is no longer our parent. */
static void die_with_parent(int signal, u64 parent) {
    call2(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, signal);
    if (parent && (u64)call0(SYS_getppid) != parent) sys_exit(125);
}

static void drop_capabilities(void) {
    u32 header[2], data[6];
    int capability;
    for (capability = 0; capability < 64; capability++)
        call2(SYS_prctl, 24 /* PR_CAPBSET_DROP */, capability);
    header[0] = 0x20080522; /* _LINUX_CAPABILITY_VERSION_3 */
    header[1] = 0;
    memset(data, 0, sizeof data);
    check(call2(SYS_capset, header, data), "could not drop capabilities", "");
}

static void make_parents(char *path) {
    u32 i;
    for (i = 1; path[i]; i++)
        if (path[i] == '/') {
            path[i] = 0;
            call2(SYS_mkdir, path, 0755);
            path[i] = '/';
        }
}

static void bind(const struct bind *b) {
    static u64 stat[18], status[15];
    static char from[4096], to[4096];
    u64 flags, host;
    from[0] = to[0] = 0;
    append(from, sizeof from, "/old");
    append(from, sizeof from, b->from);
    append(to, sizeof to, b->to);
    make_parents(to);
    i64 fd = call3(SYS_open, from, O_PATH | O_CLOEXEC, 0);
    check(fd, "could not open ", b->from);
    check(call2(SYS_fstat, fd, stat), "could not look at ", b->from);
    call1(SYS_close, fd);
    if (((u32)stat[3] & 0170000) == 0040000) {
        call2(SYS_mkdir, to, 0755);
    } else {
        fd = call3(SYS_open, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        check(fd, "could not make ", b->to);
        call1(SYS_close, fd);
    }
    check(call5(SYS_mount, from, to, NULL, MS_BIND, NULL), "could not bind ", b->from);
    /* Flags that the host's mount has are locked: a change must name them again. */
    check(call2(SYS_statfs, to, status), "could not look at ", b->to);
    host = status[10];
    flags = MS_REMOUNT | MS_BIND | MS_NOSUID | (b->writable ? host & MS_RDONLY : MS_RDONLY);
    flags |= host & (MS_NODEV | MS_NOEXEC | 1024 | 2048); /* and NOATIME, NODIRATIME */
    if (host & 4096) flags |= 1 << 21; /* RELATIME */
    check(call5(SYS_mount, NULL, to, NULL, flags, NULL), "could not restrict ", b->to);
}

static void make_root(u64 shm_bytes) {
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};
    struct bind device;
    char options[64];
    int i;
    check(call5(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "could not own the mounts", "");
    check(call5(SYS_mount, "tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755"),
          "could not mount a root", "");
    check(call1(SYS_chdir, "/tmp"), "could not enter the root", "");
    check(call2(SYS_mkdir, "old", 0755), "could not make the root", "");
    check(call2(SYS_pivot_root, ".", "old"), "could not change the root", "");
    call1(SYS_chdir, "/");
    for (i = 0; i < 4; i++) {
        device.from = device.to = devices[i];
        device.writable = 0; /* of the node, its mode say; the device itself takes writes */
        bind(&device);
    }
    call2(SYS_mkdir, "/dev/shm", 0755);
    options[0] = 0;
    append(options, sizeof options, "mode=700,size=");
    append_number(options, sizeof options, (i64)shm_bytes);
    check(call5(SYS_mount, "tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options),
          "could not mount the place for the guest's RAM", "");
    call2(SYS_mkdir, "/uml", 0755);
    check(call5(SYS_mount, "tmpfs", "/uml", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=256k"),
          "could not mount /uml", "");
    for (i = 0; i < bind_count; i++) bind(&binds[i]);
    /* For one setting only: the kernel does without, and a guest should not read the host's. */
    call2(SYS_mkdir, "/proc", 0555);
    if (call5(SYS_mount, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) >= 0) {
        write_text("/proc/sys/user/max_user_namespaces", "0\n");
        check(call2(SYS_umount2, "/proc", 2 /* MNT_DETACH */), "could not leave /proc", "");
    }
    call1(84 /* rmdir */, "/proc");
    check(call2(SYS_umount2, "/old", 2 /* MNT_DETACH */), "could not leave the host's root", "");
    call1(84 /* rmdir */, "/old");
    check(call5(SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL),
          "could not close the root", "");
}

/* linux: include/uapi/linux/landlock.h; the rights of its first version. */
enum { LANDLOCK_EXECUTE = 1, LANDLOCK_WRITE = 2, LANDLOCK_READ = 4, LANDLOCK_ALL = (1 << 13) - 1 };

static void allow(int ruleset, const char *path, u64 rights, int must) {
    struct {
        u64 rights;
        int fd;
    } rule;
    i64 fd = call3(SYS_open, path, O_PATH | O_CLOEXEC, 0), result;
    if (fd < 0 && !must) return;
    check(fd, "could not open ", path);
    rule.rights = rights;
    rule.fd = (int)fd;
    result = call4(SYS_landlock_add_rule, ruleset, 1 /* PATH_BENEATH */, &rule, 0);
    if (result == -EINVAL) { /* not a folder: only the rights of files */
        rule.rights = rights & (LANDLOCK_EXECUTE | LANDLOCK_WRITE | LANDLOCK_READ);
        result = call4(SYS_landlock_add_rule, ruleset, 1, &rule, 0);
    }
    check(result, "could not allow ", path);
    call1(SYS_close, fd);
}

static void restrict_files(void) {
    u64 handled = LANDLOCK_ALL;
    int i, ruleset = (int)call3(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    check(ruleset, "this kernel has no Landlock", "");
    for (i = 0; i < bind_count; i++)
        allow(ruleset, binds[i].from,
              binds[i].writable ? LANDLOCK_ALL & ~LANDLOCK_EXECUTE : LANDLOCK_EXECUTE | LANDLOCK_READ, 1);
    allow(ruleset, "/dev/null", LANDLOCK_READ | LANDLOCK_WRITE, 1);
    allow(ruleset, "/dev/zero", LANDLOCK_READ | LANDLOCK_WRITE, 0);
    allow(ruleset, "/dev/random", LANDLOCK_READ, 0);
    allow(ruleset, "/dev/urandom", LANDLOCK_READ, 0);
    allow(ruleset, "/proc/cpuinfo", LANDLOCK_READ, 0);
    check(call2(SYS_landlock_restrict_self, ruleset, 0), "could not restrict", "");
    call1(SYS_close, ruleset);
}

/* Without a pid namespace: ends all that descends from us (we are their subreaper). */
static void end_all(void) {
    static char path[64], list[4096];
    int round, status;
    for (round = 0; round < 1000; round++) {
        i64 fd, n, pid = 0;
        int i, any = 0;
        path[0] = 0;
        append(path, sizeof path, "/proc/self/task/");
        append_number(path, sizeof path, call0(SYS_getpid));
        append(path, sizeof path, "/children");
        fd = call3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0) {
            if (child > 0) call2(SYS_kill, child, SIGKILL);
            return;
        }
        n = call3(SYS_read, fd, list, sizeof list);
        call1(SYS_close, fd);
        for (i = 0; i < n; i++) {
            if (list[i] >= '0' && list[i] <= '9') pid = pid * 10 + (list[i] - '0');
            else if (pid > 0) {
                call2(SYS_kill, pid, SIGKILL);
                any = 1;
                pid = 0;
            }
        }
        if (!any) return;
        call4(SYS_wait4, -1, &status, 0, NULL);
        while (call4(SYS_wait4, -1, &status, 1 /* WNOHANG */, NULL) > 0) {}
    }
}

static void clean_up(void) {
    end_all();
    if (to_remove) call1(84 /* rmdir */, to_remove);
}

static void on_end(int signal) {
    clean_up();
    sys_exit(128 + signal);
}

/* Reaps until the child ends; answers its status as an exit status. */
static int wait_for_child(void) {
    int status;
    for (;;) {
        i64 pid = call4(SYS_wait4, -1, &status, 0, NULL);
        if (pid == child) return (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
        if (pid < 0 && pid != -EINTR) return 125;
    }
}

/* The launcher's own copies of the guest's lines would keep them open after the guest's end. */
static void close_lines(void) {
    int fd;
    if (call3(SYS_close_range, 3, ~0u, 0) < 0)
        for (fd = 3; fd < 64; fd++) call1(SYS_close, fd);
}

static void run(char **argv, char **envp) {
    i64 error;
    if (stops) check(call1(SYS_ptrace, 0 /* PTRACE_TRACEME */), "could not be traced", "");
    error = call3(SYS_execve, argv[0], argv, envp);
    fail("could not execute ", argv[0], error);
}

/* Traced, the child stops when it has executed PROGRAM; left with SIGSTOP, it stays there. */
static void let_stop(void) {
    int status;
    if (!stops) return;
    if (call4(SYS_wait4, child, &status, 0, NULL) != child || (status & 0xff) != 0x7f) sys_exit(125);
    check(call4(SYS_ptrace, 17 /* PTRACE_DETACH */, child, 0, SIGSTOP), "could not stop ", "the program");
}

void start(i64 *stack) {
    int argc = (int)stack[0], i, namespaces = 0, landlock = 0;
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
    u64 parent = 0, shm = 64ul << 20, limit[2], cpus[16];
    i64 cpu = -1, uid = call0(SYS_getuid), gid = call0(SYS_getgid);

    if (argc == 2 && equal(argv[1], "--nothing")) sys_exit(0);
    for (i = 1; i < argc && !equal(argv[i], "--"); i++) {
        if (i + 1 < argc && equal(argv[i], "--sandbox")) {
            namespaces = equal(argv[++i], "namespaces");
            landlock = equal(argv[i], "landlock");
        } else if (equal(argv[i], "--stop")) stops = 1;
        else if (i + 1 < argc && equal(argv[i], "--parent")) parent = number_of(argv[++i]);
        else if (i + 1 < argc && equal(argv[i], "--cpu")) cpu = (i64)number_of(argv[++i]);
        else if (i + 1 < argc && equal(argv[i], "--remove")) to_remove = argv[++i];
        else if (i + 1 < argc && equal(argv[i], "--shm")) shm = number_of(argv[++i]);
        else if (i + 2 < argc && (equal(argv[i], "--ro") || equal(argv[i], "--rw"))) {
            if (bind_count == MAX_BINDS) fail("too many files", "", 0);
            binds[bind_count].writable = equal(argv[i], "--rw");
            binds[bind_count].from = argv[++i];
            binds[bind_count++].to = argv[++i];
        } else fail("unknown option ", argv[i], 0);
    }
    argv += i + 1;
    if (i + 1 >= argc) fail("no program", "", 0);

    limit[0] = limit[1] = 0;
    call2(SYS_setrlimit, 4 /* RLIMIT_CORE */, limit);
    if (cpu >= 0 && cpu < 1024) {
        memset(cpus, 0, sizeof cpus);
        cpus[cpu / 64] = 1ul << (cpu % 64);
        call3(SYS_sched_setaffinity, 0, sizeof cpus, cpus);
    }
    call1(SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */);
    call5(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0);

    if (namespaces) {
        /* NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP */
        check(call1(SYS_unshare, 0x10000000 | 0x20000 | 0x20000000 | 0x40000000 | 0x8000000 | 0x4000000 |
                                     0x2000000),
              "namespaces are refused", "");
        write_text("/proc/self/setgroups", "deny");
        map_id("/proc/self/uid_map", uid);
        map_id("/proc/self/gid_map", gid);
        die_with_parent(SIGKILL, parent);
        child = (int)call0(SYS_fork);
        check(child, "could not fork", "");
        if (child == 0) {
            die_with_parent(SIGKILL, 0);
            make_root(shm);
            drop_capabilities();
            die_with_parent(SIGKILL, 0);
            child = (int)call0(SYS_fork);
            check(child, "could not fork", "");
            if (child == 0) run(argv, envp);
            let_stop();
            close_lines();
            sys_exit(wait_for_child());
        }
        close_lines();
        sys_exit(wait_for_child());
    }

    call2(SYS_prctl, 36 /* PR_SET_CHILD_SUBREAPER */, 1);
    on_signal(SIGTERM, on_end);
    on_signal(SIGINT, on_end);
    on_signal(SIGHUP, on_end);
    die_with_parent(SIGTERM, parent);
    child = (int)call0(SYS_fork);
    check(child, "could not fork", "");
    if (child == 0) {
        on_signal(SIGTERM, NULL);
        on_signal(SIGINT, NULL);
        on_signal(SIGHUP, NULL);
        die_with_parent(SIGKILL, 0);
        /* With Yama (kernel.yama.ptrace_scope=1) only ancestors may debug a process unless it says
         * otherwise, or they own its user namespace. linux: security/yama/yama_lsm.c */
        call2(SYS_prctl, 0x59616d61 /* PR_SET_PTRACER */, -1 /* PR_SET_PTRACER_ANY */);
        if (landlock) restrict_files();
        run(argv, envp);
    }
    let_stop();
    close_lines();
    i = wait_for_child();
    clean_up();
    sys_exit(i);
}
