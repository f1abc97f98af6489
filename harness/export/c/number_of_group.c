#include <stdlib.h>

/* The IOMMU group of a device. */
static int number_of_group(const char *bus, const char *device)
{
	char *link = text("/sys/bus/%s/devices/%s/iommu_group", bus, device);

	if (access(link, F_OK))
		skip(text("an IOMMU group: %s has none", device));
	return atoi(link_target(link, ""));
}
