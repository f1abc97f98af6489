#include <linux/types.h>
#include <stdio.h>

static void want_equal(const char *name, __u64 seen, __u64 wanted)
{
	char expected[128];

	if (seen == wanted)
		return;
	snprintf(expected, sizeof(expected), "%s %#llx", name, (unsigned long long)wanted);
	fail(expected, "%s %#llx", name, (unsigned long long)seen);
}
