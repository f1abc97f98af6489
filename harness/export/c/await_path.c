#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

/* sysfs tells nobody who watches a directory of it. */
static int await_path(const char *path, bool there, long ms)
{
	while ((access(path, F_OK) == 0) != there) {
		if (ms-- <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		usleep(1000);
	}
	return 0;
}
