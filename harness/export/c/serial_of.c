#include <string.h>

/* What stands behind a comma in an argument; the argument ends before it. */
static const char *serial_of(char *argument)
{
	char *comma = strchr(argument, ',');

	if (!comma)
		return NULL;
	*comma = 0;
	return comma + 1;
}
