#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* How an nvme with a controller memory buffer reports a transfer. */
enum dma_end { COMPLETED, REFUSED, NO_END, NOT_THERE };

struct dma {
	enum dma_end end;
	int changed;		/* bytes of the page */
	char signature[257];	/* NQN of the device that wrote it */
};

static volatile void *nvme_bar(const char *device, int bar, size_t length)
{
	int fd = open(text("/sys/bus/pci/devices/%s/resource%d", device, bar), O_RDWR | O_CLOEXEC);
	void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || start == MAP_FAILED)
		fail("an nvme with a controller memory buffer", "%s has no BAR %d to be mapped (%s)",
		     device, bar, strerror(errno));
	close(fd);
	return start;
}

static void nvme_await(volatile __u32 *csts, __u32 ready)
{
	for (time_t end = time(NULL) + 4; (*csts & 1) != ready; sched_yield())
		if (time(NULL) > end)
			fail("an nvme that gets ready", "CSTS stays %#x", *csts);
}

/* Where the device sees its own memory. */
#define NVME_BUFFER (0xfff0ULL << 48)

/* Where an Identify command is read, and where its data and its completion are written, as the device
 * sees them; and where the program puts the command.
 */
struct places {
	__u64 queue, data, completion;
	volatile __u64 *command;
};

static enum dma_end nvme_identify(int config, volatile char *bar, const struct places *at)
{
	const __u64 command[8] = { 0x06, 0, 0, at->data, 0, 1, 0, 0 };
	volatile __u32 *csts = (volatile __u32 *)(bar + 0x1c);
	volatile __u32 *cc = (volatile __u32 *)(bar + 0x14);
	volatile __u32 *cmbmsc = (volatile __u32 *)(bar + 0x50);
	volatile __u32 *asq = (volatile __u32 *)(bar + 0x28);
	volatile __u32 *acq = (volatile __u32 *)(bar + 0x30);
	enum dma_end end = NO_END;

	if (*csts == ~0U)
		return NOT_THERE;
	*cc = 0;
	nvme_await(csts, 0);
	/* Registers in halves: what is under them may cut 8 bytes in two. The low half of CMBMSC has
	 * the enable bits, and the controller takes the address as they are set.
	 */
	cmbmsc[1] = (NVME_BUFFER | 3) >> 32;
	cmbmsc[0] = (__u32)(NVME_BUFFER | 3);
	*(volatile __u32 *)(bar + 0x24) = 0x10001;	/* AQA: two entries each */
	asq[0] = (__u32)at->queue;
	asq[1] = at->queue >> 32;
	acq[0] = (__u32)at->completion;
	acq[1] = at->completion >> 32;
	*cc = 1 | 6 << 16 | 4 << 20;
	nvme_await(csts, 1);
	for (int word = 0; word < 8; word++)
		at->command[word] = command[word];
	*(volatile __u32 *)(bar + 0x1000) = 1;		/* tail of the submission queue */
	for (time_t last = time(NULL) + 4; end == NO_END && time(NULL) <= last; sched_yield()) {
		__u16 status = 0;

		if (*csts == ~0U)
			return NOT_THERE;
		if (*csts & 2)				/* fatal: the completion was refused */
			end = REFUSED;
		else if (pread(config, &status, 2, 6) == 2 && status & 8)
			end = COMPLETED;		/* it asserts INTx */
	}
	*(volatile __u32 *)(bar + 0x1004) = 1;		/* head of the completion queue */
	*cc = 0;
	return end;
}

/* Runs an Identify command with the device enabled. The device is driven through sysfs, so that this
 * needs nothing that vfio grants.
 */
static enum dma_end nvme_run(const char *device, const struct places *at)
{
	volatile char *bar = nvme_bar(device, 0, 0x2000);
	int config = open(text("/sys/bus/pci/devices/%s/config", device), O_RDWR | O_CLOEXEC);
	__u16 command = 0, on;
	enum dma_end end;

	if (pread(config, &command, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	on = command | 1 << 1 | 1 << 2 | 1 << 10;	/* memory, bus master, no INTx */
	if (pwrite(config, &on, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	end = nvme_identify(config, bar, at);
	if (pwrite(config, &command, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	close(config);
	munmap((void *)bar, 0x2000);
	return end;
}

/* Takes over what the device wrote of its NQN, which is at byte 768 of the Identify data. */
static void nvme_sign(struct dma *seen, volatile unsigned char *nqn)
{
	for (int at = 0; seen->changed && at < 256; at++) {
		if (nqn[at] <= ' ' || nqn[at] > '~')
			break;
		seen->signature[at] = nqn[at];
	}
}
