#include <dirent.h>
#include <string.h>

/* PREFIX and the name of the entry of DIRECTORY that begins so: a device node's number
 * changes whenever a driver is bound.
 */
static char *entry(const char *directory, const char *beginning, const char *prefix)
{
	char *found = text("%sthere-is-none", prefix);
	DIR *open_directory = opendir(directory);
	struct dirent *one;

	while (open_directory && (one = readdir(open_directory))) {
		if (one->d_name[0] == '.' ||
		    strncmp(one->d_name, beginning, strlen(beginning)))
			continue;
		found = text("%s%s", prefix, one->d_name);
		break;
	}
	if (open_directory)
		closedir(open_directory);
	return found;
}
