#include <sys/wait.h>
#include <unistd.h>

/* Its exit status, or the signal that ended it and 128. */
static long end_process(struct process *process)
{
	int status;

	close(process->link);
	if (waitpid(process->pid, &status, 0) < 0)
		return -1;
	process->parent = 0;	/* nobody's any more */
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
