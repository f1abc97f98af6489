#include <stdio.h>
#include <unistd.h>

/* The plan of 2021 wants this, and Linux does it: what follows is about a kernel that does not. */
__attribute__((noreturn))
static void planned(const char *seen)
{
	printf("ok %d - %s: %s, as the staged plan has it\n", number, what, seen);
	fflush(stdout);
	_exit(0);
}
