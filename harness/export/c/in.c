static void in(struct process *process, void (*todo)(void))
{
	begin_in(process, todo);
	finish_in(process);
}
