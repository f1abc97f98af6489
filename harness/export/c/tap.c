#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int number;	/* of the step at hand */
static const char *what;	/* it does */

static void step(int its_number, const char *its_label)
{
	number = its_number;
	what = its_label;
}

static void pass(const char *as_expected)
{
	printf("ok %d - %s: %s\n", number, what, as_expected);
	fflush(stdout);
}

/* Tells the first thing that is not as expected; there is nothing to go on with. */
__attribute__((noreturn, format(printf, 2, 3)))
static void fail(const char *expected, const char *observed, ...)
{
	va_list arguments;

	printf("not ok %d - %s\n# expected: %s\n# observed: ", number, what, expected);
	va_start(arguments, observed);
	vprintf(observed, arguments);
	va_end(arguments);
	printf("\n");
	exit(1);
}
