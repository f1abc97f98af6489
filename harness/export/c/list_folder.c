#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether a name is `before` and a number. */
static bool is_numbered(const char *name, const char *before)
{
	size_t skip;

	if (!before || strncmp(name, before, strlen(before)))
		return false;
	skip = strlen(before);
	return name[skip] && !name[skip + strspn(name + skip, "0123456789")];
}

/* The names in a folder that begin so and are not numbered, sorted, one a line. */
static ssize_t list_folder(const char *path, const char *begin, const char *numbered,
			   unsigned char *bytes, size_t length)
{
	glob_t folder, found;
	size_t used = 0;

	if (glob(path, 0, NULL, &folder)) {
		errno = ENOENT;
		return -1;
	}
	snprintf((char *)bytes, length, "%s/*", folder.gl_pathv[0]);
	globfree(&folder);
	/* An empty folder has no names. */
	if (glob((char *)bytes, 0, NULL, &found))
		return 0;
	for (size_t at = 0; at < found.gl_pathc && used < length; at++) {
		const char *name = strrchr(found.gl_pathv[at], '/') + 1;

		if (!strncmp(name, begin, strlen(begin)) && !is_numbered(name, numbered))
			used += snprintf((char *)bytes + used, length - used, "%s\n", name);
	}
	globfree(&found);
	return used < length ? used : length;
}
