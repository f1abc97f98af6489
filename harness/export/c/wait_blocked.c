#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Waits until a process sleeps where no signal wakes it, and has not run between two looks. */
static int wait_blocked(const struct process *process, int ms)
{
	long before = -1;

	for (; ms > 0; ms -= 10) {
		FILE *status = fopen(text("/proc/%d/status", process->pid), "r");
		char line[256], state = 0;
		long count = -1;

		while (status && fgets(line, sizeof(line), status)) {
			sscanf(line, "State: %c", &state);
			sscanf(line, "voluntary_ctxt_switches: %ld", &count);
		}
		if (status)
			fclose(status);
		if (state == 'D' && count >= 0 && count == before)
			return 0;
		before = state == 'D' ? count : -1;
		usleep(10000);
	}
	errno = ETIMEDOUT;
	return -1;
}
