#include <errno.h>
#include <linux/types.h>
#include <unistd.h>

/* The offset of the first capability with this id in configuration space, which vfio-pci has at
 * this offset of the descriptor.
 */
static long pci_capability(int device, __u16 id, int extended)
{
	const __u64 config = 7ULL << 40;
	__u32 header = 0;
	__u64 at = 0x100;

	if (!extended) {
		if (pread(device, &header, 1, config + 0x34) != 1)
			return -1;
		at = header & 0xfc;
	}
	for (int seen = 0; at && seen < 1024; seen++) {
		int size = extended ? 4 : 2;

		header = 0;
		if (pread(device, &header, size, config + at) != size)
			return -1;
		if ((header & (extended ? 0xffff : 0xff)) == id)
			return at;
		at = extended ? header >> 20 & 0xffc : header >> 8 & 0xfc;
	}
	errno = at ? ELOOP : ENOENT;
	return -1;
}
