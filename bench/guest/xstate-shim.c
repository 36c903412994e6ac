/*
 * Lets an old UML kernel (Debian's 6.1) run on a CPU with a larger extended state than it knows of
 * (AMX and later). It saves and restores 2696 bytes of a process's XSAVE area; a host whose area is
 * larger answers EFAULT to a shorter PTRACE_SETREGSET, and the guest panics with "ptrace set fp
 * regs failed". Preloaded, this one lengthens what it is given with an idle rest.
 * linux: arch/x86/kernel/fpu/regset.c, xstateregs_set()
 *
 * Only the bench needs it, to measure old transports that newer kernels no longer have.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LARGEST = 1 << 16, XSTATE_BV = 512, KNOWN = 2696 };

long ptrace(enum __ptrace_request request, ...) {
  static char area[LARGEST];
  static size_t full;
  va_list rest;
  va_start(rest, request);
  long pid = va_arg(rest, int);
  void *address = va_arg(rest, void *), *data = va_arg(rest, void *);
  va_end(rest);
  long peeked;
  /* the C library's convention: what is peeked is the result */
  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    long failed = syscall(SYS_ptrace, request, pid, address, &peeked);
    return failed < 0 ? failed : peeked;
  }
  if (request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE)
    return syscall(SYS_ptrace, request, pid, address, data);
  struct iovec *given = data;
  if (full == 0) {
    struct iovec all = {area, sizeof area};
    if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, address, &all) < 0) return -1;
    full = all.iov_len;
  }
  if (given->iov_len >= full) return syscall(SYS_ptrace, request, pid, address, data);
  memset(area, 0, full);
  memcpy(area, given->iov_base, given->iov_len < KNOWN ? given->iov_len : KNOWN);
  /* x87, SSE, AVX, AVX-512 and PKRU lie within what was given; the rest is in its initial state */
  *(unsigned long *)(area + XSTATE_BV) &= 0x2ff;
  struct iovec lengthened = {area, full};
  return syscall(SYS_ptrace, request, pid, address, &lengthened);
}
