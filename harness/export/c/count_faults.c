#include <linux/types.h>
#include <sys/resource.h>

/* One load; how many times the kernel had to fill the page table for it. */
static long count_faults(__u64 address)
{
	struct rusage before, after;
	__u64 value = 0;
	int raised;

	/* What the count itself runs through may have to be paged in. */
	getrusage(RUSAGE_THREAD, &after);
	getrusage(RUSAGE_THREAD, &before);
	raised = load(address, 4, &value);
	if (raised)
		fail("memory that can be read", "signal %d", raised);
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_minflt - before.ru_minflt;
}
