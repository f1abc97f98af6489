#include <stdio.h>
#include <sys/utsname.h>

static void need_release(int major, int minor, int or_later)
{
	struct utsname name;
	int own_major = 0, own_minor = 0, own, bound;

	uname(&name);
	sscanf(name.release, "%d.%d", &own_major, &own_minor);
	own = own_major * 1000 + own_minor;
	bound = major * 1000 + minor;
	if (or_later ? own < bound : own > bound)
		skip(text("kernel %d.%d or %s, this is %s", major, minor,
			  or_later ? "later" : "earlier", name.release));
}
