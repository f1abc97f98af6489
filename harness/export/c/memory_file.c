#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that is memory; with FILL -1 it is one hole. */
static int memory_file(size_t size, int fill, unsigned int flags, int seals)
{
	int fd = memfd_create("case", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0 || ftruncate(fd, size))
		return -1;
	if (fill >= 0 && size) {
		/* Files of huge pages have no write. */
		void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (start == MAP_FAILED)
			return -1;
		memset(start, fill, size);
		munmap(start, size);
	}
	return fcntl(fd, F_ADD_SEALS, seals) ? -1 : fd;
}
