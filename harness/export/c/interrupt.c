#include <signal.h>
#include <stddef.h>

static void interrupted(int number)
{
	(void)number;
}

/* Forked processes inherit the handler, so that the signal ends a wait and not the process. */
static void __attribute__((constructor)) heed_interrupts(void)
{
	struct sigaction action = {.sa_handler = interrupted};

	sigaction(SIGUSR1, &action, NULL);
}

static int interrupt(const struct process *process)
{
	return kill(process->pid, SIGUSR1);
}
