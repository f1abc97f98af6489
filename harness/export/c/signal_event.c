#include <stdint.h>
#include <unistd.h>

static long signal_event(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one));
}
