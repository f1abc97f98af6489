#include <sys/syscall.h>
#include <unistd.h>

/* A copy of a descriptor of another process. */
static int of_process(const struct process *process, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, process->pid, 0);
	int copy = pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (pidfd >= 0)
		close(pidfd);
	return copy;
}
