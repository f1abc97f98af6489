#include <stddef.h>
#include <string.h>

/* One of the words of a list; sysfs puts brackets around the one that holds. */
static void want_word(const unsigned char *bytes, size_t length, const char *wanted)
{
	static const char between[] = " \t\n[]";
	size_t wanted_length = strlen(wanted);

	for (size_t at = 0; at < length;) {
		size_t start = at;

		while (at < length && !strchr(between, bytes[at]))
			at++;
		if (at - start == wanted_length && !memcmp(bytes + start, wanted, at - start))
			return;
		if (at == start)
			at++;
	}
	fail(wanted, "%.*s", (int)length, (const char *)bytes);
}
