#include <string.h>

/* What a file of sysfs says now; nothing, where there is none. */
static const char *first_line(const char *path)
{
	unsigned char bytes[256] = { 0 };

	if (read_file(path, bytes, sizeof(bytes) - 1) < 0)
		return "";
	bytes[strcspn((char *)bytes, "\n")] = 0;
	return strdup((char *)bytes);
}
