#include <errno.h>
#include <string.h>

static void want_success(long ret)
{
	if (ret == -1)
		fail("success", "errno %d (%s)", errno, strerror(errno));
}
