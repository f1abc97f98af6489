#include <linux/types.h>

/* One store; the signal that it raises, or 0. */
static int store(__u64 address, int width, __u64 value)
{
	int raised = sigsetjmp(before_fault, 1);

	may_fault = !raised;
	if (raised)
		return raised;
	switch (width) {
	case 1:
		*(volatile __u8 *)address = value;
		break;
	case 2:
		*(volatile __u16 *)address = value;
		break;
	case 4:
		*(volatile __u32 *)address = value;
		break;
	default:
		*(volatile __u64 *)address = value;
	}
	may_fault = 0;
	return 0;
}
