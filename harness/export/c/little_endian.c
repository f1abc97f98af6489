#include <linux/types.h>
#include <stddef.h>

static __u64 little_endian(const unsigned char *bytes, size_t length)
{
	__u64 value = 0;

	for (size_t at = 0; at < length && at < 8; at++)
		value |= (__u64)bytes[at] << (8 * at);
	return value;
}
