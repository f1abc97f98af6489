#include <linux/types.h>
#include <stddef.h>

/* A copy of memory of this process, made by plain loads; the signal that they raise, or 0. */
static int peek(__u64 address, unsigned char *bytes, size_t length)
{
	for (size_t at = 0; at < length;) {
		int width = length - at < 8 ? 1 : 8;
		__u64 value = 0;
		int raised = load(address + at, width, &value);

		if (raised)
			return raised;
		memcpy(bytes + at, &value, width);
		at += width;
	}
	return 0;
}
