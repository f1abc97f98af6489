#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A PCI device that has this driver, or none. */
static void need_device(const char *device, const char *name)
{
	char *directory = text("/sys/bus/pci/devices/%s", device);
	char real[PATH_MAX];
	char *current = NULL;

	if (access(directory, F_OK))
		skip(text("a PCI device %s, such as 0000:00:04.0", device));
	if (realpath(text("%s/driver", directory), real))
		current = strrchr(real, '/') + 1;
	if (name && (!current || strcmp(current, name)))
		skip(text("%s to be bound to %s (driver_override, then bind)", device, name));
	if (!name && current)
		skip(text("%s to have no driver (%s/driver/unbind)", device, directory));
}
