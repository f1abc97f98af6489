#include <sched.h>
#include <time.h>

/* What a file says once it says this, or at the deadline. */
static ssize_t await_file(const char *path, const char *wanted, long ms,
			  unsigned char *bytes, size_t length)
{
	struct timespec start, now;
	ssize_t got;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		size_t end;

		got = read_file(path, bytes, length);
		if (got < 0)
			return -1;
		for (end = got; end && (bytes[end - 1] == '\n' || bytes[end - 1] == ' ');)
			end--;
		if (end == strlen(wanted) && !memcmp(bytes, wanted, end))
			return got;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * 1000 +
		    (now.tv_nsec - start.tv_nsec) / 1000000 >= ms)
			return got;
		sched_yield();
	}
}
