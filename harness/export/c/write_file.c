#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* One write: sysfs takes a value whole or not at all. */
static int write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put;
	int error;

	if (fd < 0)
		return -1;
	put = write(fd, value, strlen(value));
	error = errno;
	close(fd);
	errno = error;
	return put == -1 ? -1 : 0;
}
