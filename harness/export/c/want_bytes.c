#include <stddef.h>
#include <stdio.h>

static void want_bytes(const unsigned char *bytes, size_t length,
		       const unsigned char *wanted, size_t wanted_length)
{
	char expected[64];

	want_equal("number of bytes", length, wanted_length);
	for (size_t at = 0; at < length; at++) {
		if (bytes[at] == wanted[at])
			continue;
		snprintf(expected, sizeof(expected), "byte %#zx to be %#x", at, wanted[at]);
		fail(expected, "%#x", bytes[at]);
	}
}
