#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* White space at the ends does not count. */
static void want_text(const unsigned char *bytes, size_t length, const char *wanted)
{
	while (length && isspace(*bytes)) {
		bytes++;
		length--;
	}
	while (length && isspace(bytes[length - 1]))
		length--;
	if (length != strlen(wanted) || memcmp(bytes, wanted, length))
		fail(wanted, "%.*s", (int)length, (const char *)bytes);
}
