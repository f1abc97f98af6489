#include <linux/types.h>
#include <stdio.h>

static void want_other(const char *name, __u64 seen, __u64 unwanted)
{
	char expected[128];

	if (seen != unwanted)
		return;
	snprintf(expected, sizeof(expected), "%s other than %#llx", name,
		 (unsigned long long)unwanted);
	fail(expected, "%s %#llx", name, (unsigned long long)seen);
}
