#include <stdarg.h>
#include <stdio.h>

/* A text that is good until this thread has made seven more. */
__attribute__((format(printf, 1, 2)))
static char *text(const char *format, ...)
{
	static __thread char texts[8][512];
	static __thread unsigned int turn;
	char *made = texts[turn++ % 8];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(made, sizeof(texts[0]), format, arguments);
	va_end(arguments);
	return made;
}
