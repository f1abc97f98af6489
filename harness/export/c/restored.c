#include <errno.h>
#include <stdio.h>
#include <string.h>

static int not_restored;

static void restored(int ret, const char *of)
{
	if (ret == -1) {
		printf("# not restored: %s: %s\n", of, strerror(errno));
		not_restored = 1;
	}
}
