#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* Where the kernel's configuration is at hand; elsewhere the steps tell. */
static void need_config(const char *option)
{
	char line[256], wanted[128];
	struct utsname name;
	FILE *config;
	int found = 0;

	uname(&name);
	config = fopen(text("/boot/config-%s", name.release), "r");
	if (!config) {
		printf("# needs %s, and cannot tell whether it is there\n", option);
		return;
	}
	snprintf(wanted, sizeof(wanted), "%s=", option);
	while (fgets(line, sizeof(line), config))
		found |= !strncmp(line, wanted, strlen(wanted));
	fclose(config);
	if (!found)
		skip(text("%s in the kernel's configuration", option));
}
