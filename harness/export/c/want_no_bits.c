#include <linux/types.h>
#include <stdio.h>

static void want_no_bits(const char *name, __u64 seen, __u64 bits)
{
	char expected[128];

	if ((seen & bits) == 0)
		return;
	snprintf(expected, sizeof(expected), "%s without %#llx", name, (unsigned long long)bits);
	fail(expected, "%s %#llx", name, (unsigned long long)seen);
}
