#include <string.h>
#include <sys/mman.h>

/* Memory of this process, every byte the same. */
static long memory(size_t length, int flags, int fill, int access)
{
	char *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	if (start == MAP_FAILED)
		return -1;
	if (fill)
		memset(start, fill, length);
	if (mprotect(start, length, access))
		return -1;
	return (long)start;
}
