/*
 * The first and only program of a kernel that is booted to be asked for its symbols: copies
 * /proc/kallsyms to the block device /symbols, and powers off. ../debug/symbols.ts reads them there.
 */
#include "sys.h"

static char buffer[64 << 10];

static void copy(void) {
    i64 from, to, n, done, part;
    call5(SYS_mount, "proc", "/proc", "proc", 0, NULL);
    from = call3(SYS_open, "/proc/kallsyms", O_RDONLY, 0);
    to = call3(SYS_open, "/symbols", O_WRONLY, 0);
    if (from < 0 || to < 0) return;
    while ((n = call3(SYS_read, from, buffer, sizeof buffer)) > 0)
        for (done = 0; done < n; done += part) {
            part = call3(SYS_write, to, buffer + done, n - done);
            if (part <= 0) return;
        }
}

void start(i64 *stack) {
    (void)stack;
    copy();
    call0(SYS_sync);
    call3(SYS_reboot, 0xfee1dead, 672274793, 0x4321fedc /* POWER_OFF */);
    for (;;) call5(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}
