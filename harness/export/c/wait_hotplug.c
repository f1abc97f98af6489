#include <unistd.h>

/* A device is in sysfs some time before the kernel lets a driver have it. */
static int wait_hotplug(const char *device, const char *name, long ms)
{
	while (driver(device, NULL) || driver(device, name)) {
		if (ms-- <= 0)
			return -1;
		usleep(1000);
	}
	return 0;
}
