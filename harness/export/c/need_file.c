#include <unistd.h>

static void need_file(const char *path, const char *why)
{
	if (access(path, F_OK))
		skip(why);
}
