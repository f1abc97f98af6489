#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that is told by this one what to do, function by function. */
struct process {
	pid_t pid;
	int link;
};

/* The copy has the memory and the descriptors that this process has now. */
static int fork_process(struct process *process)
{
	void (*todo)(void);
	int links[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, links))
		return -1;
	process->pid = fork();
	if (process->pid < 0)
		return -1;
	process->link = links[0];
	if (process->pid) {
		close(links[1]);
		return 0;
	}
	close(links[0]);
	while (read(links[1], &todo, sizeof(todo)) == sizeof(todo)) {
		todo();
		if (write(links[1], "", 1) != 1)
			break;
	}
	_exit(0);
}
