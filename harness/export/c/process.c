#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that is told by this one what to do, function by function. */
struct process {
	pid_t pid;
	int link;
	pid_t parent;
	struct process *next;
};

static struct process *processes;

/* They have copies of every descriptor: nothing is closed before they are gone. */
static void end_processes(void)
{
	for (struct process *one = processes; one; one = one->next) {
		if (one->parent != getpid())
			continue;
		kill(one->pid, SIGKILL);
		waitpid(one->pid, NULL, 0);
	}
}

/* The copy has the memory and the descriptors that this process has now. */
static int fork_process(struct process *process)
{
	void (*todo)(void);
	int links[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, links))
		return -1;
	process->parent = getpid();
	process->pid = fork();
	if (process->pid < 0)
		return -1;
	process->link = links[0];
	if (process->pid) {
		close(links[1]);
		if (!processes)
			atexit(end_processes);
		process->next = processes;
		processes = process;
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
