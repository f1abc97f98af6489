#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Gives a page of zeros to who is held at an address. */
static int uffd_resume(const struct process *process, int fd, __u64 address)
{
	__u64 page = sysconf(_SC_PAGESIZE);
	struct uffdio_zeropage zeros = {
		.range = { .start = address / page * page, .len = page },
	};
	int copy = of_process(process, fd);

	if (copy < 0 || ioctl(copy, UFFDIO_ZEROPAGE, &zeros))
		return -1;
	close(copy);
	return 0;
}
