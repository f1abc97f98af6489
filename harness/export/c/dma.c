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

/* Identify with one entry in the controller memory buffer: the device writes the data and its
 * completion to IOVA, and nothing else crosses the IOMMU.
 */
static enum dma_end nvme_identify(int config, volatile char *bar, volatile __u64 *queue, __u64 iova)
{
	const __u64 buffer = 0xfff0ULL << 48;	/* where the device sees its own memory */
	const __u64 command[8] = { 0x06, 0, 0, iova, 0, 1, 0, 0 };
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
	cmbmsc[1] = (buffer | 3) >> 32;
	cmbmsc[0] = (__u32)(buffer | 3);
	*(volatile __u32 *)(bar + 0x24) = 0x10001;	/* AQA: two entries each */
	asq[0] = (__u32)buffer;
	asq[1] = buffer >> 32;
	acq[0] = (__u32)iova;
	acq[1] = iova >> 32;
	*cc = 1 | 6 << 16 | 4 << 20;
	nvme_await(csts, 1);
	for (int word = 0; word < 8; word++)
		queue[word] = command[word];
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

/* Lets a device write a page to IOVA, and looks for it in PAGE. The device is driven through sysfs,
 * so that this needs nothing that vfio grants.
 */
static struct dma dma(const char *device, __u64 iova, __u64 page)
{
	volatile unsigned char *bytes = (volatile unsigned char *)page;
	volatile char *bar = nvme_bar(device, 0, 0x2000);
	volatile __u64 *queue = nvme_bar(device, 2, 0x1000);
	int config = open(text("/sys/bus/pci/devices/%s/config", device), O_RDWR | O_CLOEXEC);
	struct dma seen = { .changed = 0 };
	__u16 command = 0, on;

	for (int at = 0; at < 4096; at++)
		bytes[at] = 0xa5;
	if (pread(config, &command, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	on = command | 1 << 1 | 1 << 2 | 1 << 10;	/* memory, bus master, no INTx */
	if (pwrite(config, &on, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	seen.end = nvme_identify(config, bar, queue, iova);
	if (pwrite(config, &command, 2, 4) != 2)
		fail("configuration space", "%s", strerror(errno));
	close(config);
	munmap((void *)bar, 0x2000);
	munmap((void *)queue, 0x1000);
	for (int at = 0; at < 4096; at++)
		seen.changed += bytes[at] != 0xa5;
	for (int at = 0; seen.changed && at < 256; at++) {
		if (bytes[768 + at] <= ' ' || bytes[768 + at] > '~')
			break;
		seen.signature[at] = bytes[768 + at];
	}
	return seen;
}

static const char *dma_text(struct dma seen)
{
	static const char *const ends[] = {
		[COMPLETED] = "the device completed its DMA",
		[REFUSED] = "the device's DMA was refused",
		[NO_END] = "the device's DMA did not end",
		[NOT_THERE] = "the device does not answer at all",
	};

	return text("%s, %d bytes of the page changed, signed `%s`", ends[seen.end], seen.changed,
		    seen.signature);
}
