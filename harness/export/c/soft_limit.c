#include <sys/resource.h>

/* The hard limit stays, so that the other one can be raised again. */
static int soft_limit(int resource, rlim_t to)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return -1;
	limit.rlim_cur = to;
	if (limit.rlim_max < to)
		limit.rlim_max = to;
	return setrlimit(resource, &limit);
}
