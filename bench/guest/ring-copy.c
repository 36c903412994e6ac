/*
 * The ceiling of the core bench: the fabric's walk from ring to ring in C. One sender, one or many
 * receivers; each frame's head and descriptor are read and checked, its destination is looked up,
 * and header and frame are copied into the receivers' buffers, with used entries, in batches of 128.
 *
 *     ring-copy BYTES RECEIVERS SECONDS      prints frames that arrived, a second of CPU time
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 256
#define BATCH 128
#define RAM (2u << 20)
#define HEADER 12
#define RX_BUFFER 2048
#define START 0x40000000ull

struct desc { uint64_t address; uint32_t length; uint16_t flags, next; };
struct ring {
	struct desc desc[QUEUE];
	uint16_t avail_flags, avail_index, avail[QUEUE], used_event;
	uint16_t used_flags, used_index;
	struct { uint32_t head, length; } used[QUEUE];
	uint16_t taken;
};
struct guest { unsigned char *ram; struct ring *rx, *tx; };

static struct { uint64_t mac; int port; } table[8192];

static int slot_of(uint64_t mac)
{
	return (mac * 0x9e3779b97f4a7c15ull) >> 51;
}

static unsigned char *at(struct guest *guest, uint64_t address, uint32_t length)
{
	uint64_t offset = address - START;
	if (offset > RAM || length > RAM - offset) abort();
	return guest->ram + offset;
}

/* 0 where the receiver has too few buffers */
static int receive(struct guest *to, const unsigned char *header, const unsigned char *frame, uint32_t left)
{
	struct ring *rx = to->rx;
	uint16_t available = rx->avail_index - rx->taken;
	uint16_t buffers = 0;
	unsigned char *first = 0;
	while (left > 0) {
		if (buffers == available) return 0;
		uint16_t head = rx->avail[(rx->taken + buffers) % QUEUE];
		if (head >= QUEUE) abort();
		struct desc *desc = &rx->desc[head];
		unsigned char *buffer = at(to, desc->address, desc->length);
		uint32_t room = desc->length, written = 0;
		if (buffers == 0) {
			first = buffer;
			memcpy(buffer, header, HEADER);
			buffer += HEADER;
			room -= HEADER;
			written = HEADER;
		}
		uint32_t step = left < room ? left : room;
		memcpy(buffer, frame, step);
		frame += step;
		left -= step;
		rx->used[(uint16_t)(rx->used_index + buffers) % QUEUE].head = head;
		rx->used[(uint16_t)(rx->used_index + buffers) % QUEUE].length = written + step;
		buffers++;
	}
	memcpy(first + 10, &buffers, 2);
	rx->taken += buffers;
	rx->used_index += buffers;
	return 1;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 4) return 2;
	uint32_t bytes = atoi(argv[1]);
	int receivers = atoi(argv[2]);
	double seconds = atof(argv[3]);
	struct guest *guests = calloc(receivers + 1, sizeof *guests);
	for (int i = 0; i <= receivers; i++) {
		guests[i].ram = aligned_alloc(4096, RAM);
		memset(guests[i].ram, 0, RAM);
		guests[i].rx = calloc(1, sizeof(struct ring));
		guests[i].tx = calloc(1, sizeof(struct ring));
		for (int j = 0; j < QUEUE; j++) {
			guests[i].rx->desc[j] = (struct desc){ START + 0x10000 + j * RX_BUFFER, RX_BUFFER, 2, 0 };
			guests[i].rx->avail[j] = j;
		}
		guests[i].rx->avail_index = QUEUE;
	}
	struct guest *sender = &guests[0];
	unsigned char *frame = sender->ram + 0x90000 + HEADER;
	memcpy(frame, receivers == 1 ? "\2\0\0\0\0\2" : "\377\377\377\377\377\377", 6);
	memcpy(frame + 6, "\2\0\0\0\0\1", 6);
	for (int j = 0; j < QUEUE; j++) {
		sender->tx->desc[j] = (struct desc){ START + 0x90000, HEADER + bytes, 0, 0 };
		sender->tx->avail[j] = j;
	}
	uint64_t target = 0;
	memcpy(&target, frame, 6);
	table[slot_of(target)].mac = target;
	table[slot_of(target)].port = 1;

	uint64_t arrived = 0;
	double from = now(), to = from;
	for (uint64_t rounds = 0; to - from < seconds; rounds++) {
		struct ring *tx = sender->tx;
		tx->avail_index = tx->used_index + QUEUE;
		while (tx->taken != tx->avail_index) {
			int left = BATCH;
			for (; left > 0 && tx->taken != tx->avail_index; left--) {
				uint16_t head = tx->avail[tx->taken % QUEUE];
				if (head >= QUEUE) abort();
				struct desc *desc = &tx->desc[head];
				if (desc->length < HEADER + 14) abort();
				unsigned char *chain = at(sender, desc->address, desc->length);
				uint64_t mac = 0;
				memcpy(&mac, chain + HEADER, 6);
				int blocked = 0;
				if (mac & 1) {
					for (int i = 1; i <= receivers; i++)
						arrived += receive(&guests[i], chain, chain + HEADER, desc->length - HEADER);
				} else {
					int slot = slot_of(mac);
					if (table[slot].mac != mac) abort();
					if (receive(&guests[table[slot].port], chain, chain + HEADER, desc->length - HEADER))
						arrived++;
					else
						blocked = 1;
				}
				if (blocked) break;
				uint16_t used = tx->used_index + (BATCH - left);
				tx->used[used % QUEUE].head = head;
				tx->used[used % QUEUE].length = 0;
				tx->taken++;
			}
			tx->used_index += BATCH - left;
			__sync_synchronize();
			for (int i = 1; i <= receivers; i++)
				guests[i].rx->avail_index = guests[i].rx->used_index + QUEUE;
		}
		if (rounds % 16 == 0) to = now();
	}
	printf("%.0f\n", arrived / (to - from));
	return 0;
}
