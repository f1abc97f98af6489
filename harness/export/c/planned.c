#include <stdio.h>
#include <stdlib.h>

/* The plan of 2021 wants this, and Linux does it: what follows is about a kernel that does not. */
__attribute__((noreturn))
static void planned(const char *seen)
{
	printf("ok %d - %s: %s, as the staged plan has it\n", number, what, seen);
	exit(0);
}
