#include <linux/types.h>

/* One load; the signal that it raises, or 0. */
static int load(__u64 address, int width, __u64 *value)
{
	int raised = sigsetjmp(before_fault, 1);

	may_fault = !raised;
	if (raised)
		return raised;
	switch (width) {
	case 1:
		*value = *(volatile __u8 *)address;
		break;
	case 2:
		*value = *(volatile __u16 *)address;
		break;
	case 4:
		*value = *(volatile __u32 *)address;
		break;
	default:
		*value = *(volatile __u64 *)address;
	}
	may_fault = 0;
	return 0;
}
