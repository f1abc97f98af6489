#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel can read what is there, and cannot write to it. */
static void *read_only(void *buffer, size_t length)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)buffer / page * page;

	if (mprotect((void *)start, (uintptr_t)buffer + length - start, PROT_READ))
		fail("memory without write permission", "none");
	return buffer;
}
