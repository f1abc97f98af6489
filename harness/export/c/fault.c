#include <setjmp.h>
#include <signal.h>
#include <string.h>

static sigjmp_buf before_fault;

static void on_fault(int raised)
{
	siglongjmp(before_fault, raised);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_handler = on_fault };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}
