#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A dma-buf of part of a memfd that is sealed against shrinking. */
static int udmabuf(int file, __u64 offset, __u64 size)
{
	struct udmabuf_create create = {
		.memfd = file,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int made, error;

	if (device < 0)
		return -1;
	made = ioctl(device, UDMABUF_CREATE, &create);
	error = errno;
	close(device);
	errno = error;
	return made;
}
