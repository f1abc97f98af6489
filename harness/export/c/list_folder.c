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

/* Whether a name has this form, in which '#' stands for a number. */
static bool is_like(const char *name, const char *form)
{
	for (; *form; form++) {
		size_t digits = strspn(name, "0123456789");

		if (*form == '#' ? !digits : *form != *name)
			return false;
		name += *form == '#' ? digits : 1;
	}
	return !*name;
}

/*
 * The names in a folder that begin so and are not numbered, sorted, one a line. Of those in the
 * form `like` only the form is shown.
 */
static ssize_t list_folder(const char *path, const char *begin, const char *numbered,
			   const char *like, unsigned char *bytes, size_t length)
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

		if (!strncmp(name, begin, strlen(begin)) && !is_numbered(name, numbered) &&
		    (!like || is_like(name, like)))
			used += snprintf((char *)bytes + used, length - used, "%s\n",
					 like ? like : name);
	}
	globfree(&found);
	return used < length ? used : length;
}
