#include <errno.h>
#include <stddef.h>
#include <string.h>

/* What a call may end with in which a failure was injected. */
static void want_one_of(int error, const int *allowed, size_t count, const char *names)
{
	for (size_t at = 0; at < count; at++)
		if (error == allowed[at])
			return;
	fail(names, "errno %d (%s)", error, strerror(error));
}
