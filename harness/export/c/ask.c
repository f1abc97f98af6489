#include <stdio.h>

/* What only somebody outside can do to the machine. */
static int ask(const char *request)
{
	char line[256];

	fflush(stdout);
	fprintf(stderr, "%s, then press Enter: ", request);
	if (fgets(line, sizeof(line), stdin))
		return 0;
	skip("somebody at standard input who does what it asks for");
}
