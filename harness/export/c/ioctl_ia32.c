#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ioctl(2) as a 32-bit program calls it; the kernel needs CONFIG_IA32_EMULATION. */
static int ia32_call(int fd, unsigned int request, unsigned long argument)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(54), "b"(fd), "c"(request), "d"((unsigned int)argument)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0 || result < -4095)
		return result;
	errno = -result;
	return -1;
}

/* The same with an argument in memory, which such a program has below 4 GiB. */
static int ioctl_ia32(int fd, unsigned int request, void *argument, size_t length)
{
	char *low = mmap(NULL, length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int result, error;

	if (low == MAP_FAILED)
		return -1;
	memcpy(low, argument, length);
	result = ia32_call(fd, request, (unsigned long)low);
	error = errno;
	/* A string is a constant, which no call changes. */
	if (memcmp(argument, low, length))
		memcpy(argument, low, length);
	munmap(low, length);
	errno = error;
	return result;
}
