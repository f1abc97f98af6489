#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* LENGTH bytes, of which the first are a copy and the others FILL, that end where their mapping
 * ends: a kernel that reads or writes further meets EFAULT.
 */
static void *at_edge(const void *from, size_t copied, size_t length, int fill)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t usable = length ? (length + page - 1) / page * page : page;
	char *start = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED || mprotect(start + usable, page, PROT_NONE))
		fail("memory", "none");
	start += usable - length;
	memset(start, fill, length);
	memcpy(start, from, copied);
	return start;
}
