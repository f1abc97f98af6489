#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Drops a capability, or takes it back: it stays among the permitted ones. */
static int capability(int id, int effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, sets))
		return -1;
	if (effective)
		sets[CAP_TO_INDEX(id)].effective |= CAP_TO_MASK(id);
	else
		sets[CAP_TO_INDEX(id)].effective &= ~CAP_TO_MASK(id);
	return syscall(SYS_capset, &header, sets);
}
