#include <string.h>
#include <unistd.h>

/* PREFIX and the last part of where LINK leads to. */
static char *link_target(const char *link, const char *prefix)
{
	char target[512];
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	char *slash;

	if (length < 0)
		return text("%sthere-is-none", prefix);
	target[length] = 0;
	slash = strrchr(target, '/');
	return text("%s%s", prefix, slash ? slash + 1 : target);
}
