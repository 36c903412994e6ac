/*
 * The framed protocol between the supervisor and the agent in a guest, over one serial line.
 * Its documentation is protocol.ts, which this file mirrors; a test compares the two.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define PROTOCOL_VERSION 2

#define HEADER_BYTES 8
#define MAX_PAYLOAD 65536
#define MAX_DATA 32768
/* Longer payloads to the agent go through the inbox, at places that are multiples of this. */
#define INBOX_BYTES 1048576
#define INBOX_UNIT 512
/* The bytes that may be on the line to the agent before it has said TAKEN. */
#define LINE_WINDOW 3072
#define TAKEN_STEP 1024
#define MAX_CHANNELS 256
#define MAX_GROUPS 255
/* What a stream may carry before its reader has granted more. */
#define INPUT_WINDOW 262144
#define OUTPUT_WINDOW 524288

/* Frame types: supervisor to agent. */
#define FRAME_EXEC 1
#define FRAME_READ 2
#define FRAME_WRITE 3
#define FRAME_NETLINK 4
#define FRAME_RESIZE 5
#define FRAME_KILL 6
#define FRAME_POWER 7
#define FRAME_START 8
/* Added to a type: the payload on the line is its u32 place in the inbox. */
#define FRAME_LONG 128
/* Both ways. */
#define FRAME_DATA 16
#define FRAME_CLOSE 17
#define FRAME_CREDIT 18
/* Agent to supervisor. */
#define FRAME_HELLO 32
#define FRAME_EXIT 33
#define FRAME_TAKEN 34

/* Streams of a channel. */
#define STREAM_INPUT 0
#define STREAM_OUTPUT 1
#define STREAM_ERROR 2

/* Flags of EXEC. */
#define EXEC_NO_INPUT 1
#define EXEC_TERMINAL 2
#define EXEC_SOCKET 4
#define EXEC_CONSOLE 8
#define EXEC_USER 16

/* Flags of WRITE. */
#define WRITE_CREATE 1
#define WRITE_PARENTS 2

/* What POWER asks for. */
#define POWER_OFF 0
#define POWER_REBOOT 1

/* How a channel ended. */
#define EXIT_CODE 0
#define EXIT_SIGNAL 1
#define EXIT_ERRNO 2

#endif
