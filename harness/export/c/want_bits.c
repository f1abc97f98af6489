#include <linux/types.h>
#include <stdio.h>

static void want_bits(const char *name, __u64 seen, __u64 bits)
{
	char expected[128];

	if ((seen & bits) == bits)
		return;
	snprintf(expected, sizeof(expected), "%s with %#llx", name, (unsigned long long)bits);
	fail(expected, "%s %#llx", name, (unsigned long long)seen);
}
