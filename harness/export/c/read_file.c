#include <fcntl.h>
#include <unistd.h>

/* At most a page of it, as sysfs gives it. */
static ssize_t read_file(const char *path, unsigned char *bytes, size_t length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, bytes, length);
	close(fd);
	return got;
}
