#include <stdio.h>
#include <unistd.h>

__attribute__((noreturn))
static void skip(const char *need)
{
	printf("1..0 # SKIP needs %s\n", need);
	fflush(stdout);
	_exit(4);
}
