/* The character device of a vfio device. */
static char *device_node(const char *bus, const char *device)
{
	return entry(text("/sys/bus/%s/devices/%s/vfio-dev", bus, device), "",
		     "/dev/vfio/devices/");
}
