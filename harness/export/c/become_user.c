#include <grp.h>
#include <unistd.h>

/* With the rights of root go all capabilities. */
static int become_user(unsigned int id)
{
	if (setgroups(0, NULL) || setresgid(id, id, id))
		return -1;
	return setresuid(id, id, id);
}
