#include <stdint.h>
#include <unistd.h>

/* What an eventfd has counted when it was signalled, 0 at the deadline. */
static long take_events(int fd, int ms)
{
	uint64_t count = 0;
	int ready = wait_for(fd, ms);

	if (ready < 0)
		return -1;
	if (ready && read(fd, &count, sizeof(count)) != sizeof(count))
		return -1;
	return count;
}
