#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <errno.h>

/* The address that a process touches which is held there. */
static long wait_fault(const struct process *process, int fd, int ms)
{
	int copy = of_process(process, fd);
	struct uffd_msg message;

	if (copy < 0)
		return -1;
	if (wait_for(copy, ms) != 1) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (read(copy, &message, sizeof(message)) != sizeof(message) ||
	    message.event != UFFD_EVENT_PAGEFAULT)
		return -1;
	close(copy);
	return message.arg.pagefault.address;
}
