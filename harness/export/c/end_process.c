#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its exit status, or the signal that ended it and 128. */
static long end_process(struct process *process)
{
	int status;

	/* Processes that were forked later have copies of this end. */
	shutdown(process->link, SHUT_RDWR);
	close(process->link);
	if (waitpid(process->pid, &status, 0) < 0)
		return -1;
	process->parent = 0;	/* nobody's any more */
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
