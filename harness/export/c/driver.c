#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Takes a PCI device from its driver and offers it to another one, or to none. */
static int driver(const char *device, const char *name)
{
	char *directory = text("/sys/bus/pci/devices/%s", device);
	char real[PATH_MAX];
	char *current = NULL;

	if (realpath(text("%s/driver", directory), real))
		current = strrchr(real, '/') + 1;
	if (current && name && !strcmp(current, name))
		return 0;
	if (!current && !name)
		return 0;
	if (current && write_file(text("%s/driver/unbind", directory), device))
		return -1;
	/* Keeps other drivers away, and lets vfio-pci take any device. */
	if (write_file(text("%s/driver_override", directory), name ? name : "\n"))
		return -1;
	if (!name)
		return 0;
	return write_file(text("/sys/bus/pci/drivers/%s/bind", name), device);
}
