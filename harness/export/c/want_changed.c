#include <stddef.h>

static void want_changed(const unsigned char *bytes, size_t length, unsigned char before)
{
	for (size_t at = 0; at < length; at++)
		if (bytes[at] != before)
			return;
	fail("another byte somewhere", "every byte is %#x", before);
}
