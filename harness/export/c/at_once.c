#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* A call that a thread of its own makes. */
struct racer {
	long (*run)(void);
	/* Microseconds by which it begins later. */
	unsigned int delay;
	long ret;
	int error;
	pthread_t thread;
	pthread_barrier_t *gate;
};

static void *race(void *argument)
{
	struct racer *racer = argument;

	pthread_barrier_wait(racer->gate);
	if (racer->delay)
		usleep(racer->delay);
	racer->ret = racer->run();
	racer->error = errno;
	return NULL;
}

/* The way in which the last race ended, of those in which it may; -1 for none of them. */
static int way_of_race;

/* All begin together, and all have ended. */
static void at_once(struct racer *racers, int count)
{
	pthread_barrier_t gate;

	pthread_barrier_init(&gate, NULL, count);
	for (int i = 0; i < count; i++) {
		racers[i].gate = &gate;
		errno = pthread_create(&racers[i].thread, NULL, race, &racers[i]);
		if (errno)
			fail("a thread", "%s", strerror(errno));
	}
	for (int i = 0; i < count; i++)
		pthread_join(racers[i].thread, NULL);
	pthread_barrier_destroy(&gate);
}

/* Whether the call ended so; 0 stands for success. */
static int ended(const struct racer *racer, int error)
{
	return error ? racer->ret == -1 && racer->error == error : racer->ret != -1;
}

static const char *ends_of(const struct racer *racers, int count)
{
	char *all = text("%s", "");

	for (int i = 0; i < count; i++)
		all = text("%s%s%s", all, i ? " | " : "",
			   racers[i].ret == -1 ? strerror(racers[i].error) : "success");
	return all;
}
