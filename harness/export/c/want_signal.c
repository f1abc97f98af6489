#include <signal.h>
#include <string.h>

/* 0 is no signal. */
static void want_signal(int seen, int wanted)
{
	if (seen != wanted)
		fail(wanted ? strsignal(wanted) : "no signal",
		     "signal %d (%s)", seen, seen ? strsignal(seen) : "none");
}
