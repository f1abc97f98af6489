// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the kernel complain in ways for which LKDTM has nothing:
 * echo NAME > /sys/kernel/debug/provoke
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

static DEFINE_MUTEX(held);
static u64 raced;

static void no_timeout(struct timer_list *t)
{
}

static void lost_memory(void)
{
	void *lost = kmalloc(77, GFP_KERNEL);

	pr_info("provoke: lost %px\n", lost);
}

static void freed_timer(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, no_timeout, 0);
	mod_timer(timer, jiffies + 100 * HZ);
	kfree(timer);
}

static void freed_lock(void)
{
	struct mutex *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return;
	mutex_init(lock);
	mutex_lock(lock);
	kfree(lock);
}

static void no_key(void)
{
	struct mutex *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return;
	mutex_init(lock);
	/* not static, and not registered */
	lockdep_init_map(&lock->dep_map, "x", (struct lock_class_key *)lock, 0);
	mutex_lock(lock);
	mutex_unlock(lock);
	kfree(lock);
}

static void no_rcu(void)
{
	RCU_LOCKDEP_WARN(1, "provoked");
}

static void long_work(struct work_struct *work)
{
	mdelay(60000);
}
static DECLARE_WORK(slow, long_work);
static DECLARE_WORK(waits, long_work);

static void stuck_pool(void)
{
	schedule_work_on(0, &slow);
	schedule_work_on(0, &waits);
}

static void rcu_reader(void)
{
	unsigned long end = jiffies + 40 * HZ;

	rcu_read_lock();
	while (time_before(jiffies, end))
		cpu_relax();
	rcu_read_unlock();
}

static int writer(void *unused)
{
	unsigned long end = jiffies + 2 * HZ;

	while (time_before(jiffies, end)) {
		raced++;
		cond_resched();
	}
	return 0;
}

static void race_of_data(void)
{
	struct task_struct *other = kthread_run(writer, NULL, "provoke");

	if (!IS_ERR(other))
		writer(NULL);
}

static void many_records(void)
{
	int i;

	for (i = 0; i < 20000; i++)
		pr_info("provoke: record %d of many that are longer than what the buffer has room for\n", i);
}

static const struct {
	const char *name;
	void (*what)(void);
} all[] = {
	{ "kmemleak", lost_memory },
	{ "odebug", freed_timer },
	{ "freed-lock", freed_lock },
	{ "no-key", no_key },
	{ "no-rcu", no_rcu },
	{ "workqueue", stuck_pool },
	{ "rcu-stall", rcu_reader },
	{ "data-race", race_of_data },
	{ "records", many_records },
};

static ssize_t provoke_write(struct file *file, const char __user *from, size_t n, loff_t *at)
{
	char name[32] = {};
	int i;

	if (n >= sizeof(name) || copy_from_user(name, from, n))
		return -EINVAL;
	strim(name);
	if (!strcmp(name, "held-lock")) {
		mutex_lock(&held);
		return n;
	}
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!strcmp(name, all[i].name)) {
			all[i].what();
			return n;
		}
	}
	return -EINVAL;
}

static const struct file_operations provoke_ops = {
	.write = provoke_write,
};

static int __init provoke_init(void)
{
	debugfs_create_file("provoke", 0200, NULL, NULL, &provoke_ops);
	return 0;
}
late_initcall(provoke_init);
