#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is made to fail: an allocation, a copy from or to the caller's memory, or one of the hooks
 * that CONFIG_IOMMUFD_TEST puts into iommufd.
 */
enum failure { NO_FAILURE, ALLOCATION, COPY, HOOK };

static const struct {
	const char *name;
	enum failure failure;
} kinds[] = {
	{ "failslab", ALLOCATION },
	{ "fail_page_alloc", ALLOCATION },
	{ "fail_usercopy", COPY },
	{ "fail_iommufd", HOOK },
};

static int fail_nth_fd = -1;
static long left_of[sizeof(kinds) / sizeof(kinds[0])];

/* How often a kind of failure may still happen; -1 where the kernel has no such kind. */
static long left_in(size_t kind)
{
	unsigned char bytes[32] = { 0 };
	char *path = text("/sys/kernel/debug/%s/times", kinds[kind].name);

	return read_file(path, bytes, sizeof(bytes) - 1) > 0 ? atol((char *)bytes) : -1;
}

/* By default an allocation that may sleep never fails, nor does one of a single page. */
static void prepare_failures(void)
{
	static const char *const knobs[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
		{ "fail_iommufd/verbose", "0" },
	};
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	for (size_t knob = 0; knob < sizeof(knobs) / sizeof(knobs[0]); knob++)
		write_file(text("/sys/kernel/debug/%s", knobs[knob][0]), knobs[knob][1]);
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		write_file(text("/sys/kernel/debug/%s/times", kinds[kind].name), "1000000");
		left_of[kind] = left_in(kind);
	}
	/* The number of a descriptor may be part of what is looked at. */
	fail_nth_fd = fcntl(fd, F_DUPFD_CLOEXEC, 512);
	close(fd);
	if (fail_nth_fd < 0)
		fail("/proc/thread-self/fail-nth", "%s", strerror(errno));
}

/* With one point left it is the copy of the new number that fails, and then none is left. */
static void write_nth(int nth)
{
	char *value = text("%d", nth);

	if (pwrite(fail_nth_fd, value, strlen(value), 0) < 0 &&
	    pwrite(fail_nth_fd, value, strlen(value), 0) < 0)
		fail("fail-nth to be written", "%s", strerror(errno));
}

/* The Nth point of the next system call fails. */
static void fail_point(int nth)
{
	write_nth(nth);
}

/* What failed in it; nothing, when it had fewer points. */
static enum failure point_failed(void)
{
	enum failure failed = NO_FAILURE;
	char bytes[16] = { 0 };
	int own = 0;

	/* The kernel notes the number before it copies it out: with one left it is that copy
	 * which fails.
	 */
	if (pread(fail_nth_fd, bytes, sizeof(bytes) - 1, 0) < 0)
		own = 1;
	write_nth(0);
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		long left = left_in(kind);

		if (left != left_of[kind] && !own && !atol(bytes))
			failed = kinds[kind].failure;
		left_of[kind] = left;
	}
	if (!own && !atol(bytes) && failed == NO_FAILURE)
		fail("a failure that is counted", "none in debugfs");
	return failed;
}
