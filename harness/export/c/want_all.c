#include <stddef.h>
#include <stdio.h>

static void want_all(const unsigned char *bytes, size_t length, unsigned char wanted)
{
	char expected[64];

	for (size_t at = 0; at < length; at++) {
		if (bytes[at] == wanted)
			continue;
		snprintf(expected, sizeof(expected), "every byte %#x", wanted);
		fail(expected, "byte %#zx is %#x", at, bytes[at]);
	}
}
