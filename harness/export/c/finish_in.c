#include <stdlib.h>
#include <unistd.h>

/* It has told itself what went wrong, if anything did. */
static void finish_in(struct process *process)
{
	char done;

	if (read(process->link, &done, 1) != 1)
		exit(1);
}
