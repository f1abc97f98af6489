#include <errno.h>
#include <string.h>

#define WANT_ERRNO(ret, error) want_errno((ret), (error), #error)
static void want_errno(long ret, int error, const char *name)
{
	if (ret != -1)
		fail(name, "success");
	if (errno != error)
		fail(name, "errno %d (%s)", errno, strerror(errno));
}
