#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static void interrupted(int raised)
{
	(void)raised;
}

/* Bytes that a character device gives now: what /dev/hwrng may still have from before, a cache line of
 * the core and one of virtio-rng, is read first. A read of it waits for whoever reads before it,
 * O_NONBLOCK or not; only a signal ends that.
 */
static ssize_t read_device(const char *path, unsigned char *bytes, size_t length, long ms)
{
	struct sigaction action = { .sa_handler = interrupted };
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	time_t deadline = time(NULL) + (ms + 999) / 1000;
	unsigned char left_over[2 * 64];
	size_t skip = sizeof(left_over), filled = 0;
	unsigned int left;

	if (fd < 0)
		return -1;
	sigaction(SIGALRM, &action, NULL);
	left = alarm((ms + 999) / 1000);
	while (filled < skip + length) {
		unsigned char *to = filled < skip ? left_over + filled : bytes + filled - skip;
		size_t room = filled < skip ? skip - filled : skip + length - filled;
		ssize_t got = read(fd, to, room);

		if (got == 0)
			break;
		if (got > 0) {
			filled += got;
		} else if (errno == EAGAIN && time(NULL) <= deadline) {
			sched_yield();
		} else {
			if (errno == EAGAIN || errno == EINTR)
				errno = ETIMEDOUT;
			break;
		}
	}
	alarm(left);
	signal(SIGALRM, SIG_DFL);
	close(fd);
	return filled == skip + length ? (ssize_t)length : -1;
}
