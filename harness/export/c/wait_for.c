#include <poll.h>

/* 1 when the descriptor became readable, 0 at the deadline. */
static int wait_for(int fd, int ms)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, ms);
}
