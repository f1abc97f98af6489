#include <linux/types.h>

/* An address of which the compiler does not know that nothing is there. */
static void *unknown_address(__u64 number)
{
	volatile __u64 hidden = number;

	return (void *)hidden;
}
