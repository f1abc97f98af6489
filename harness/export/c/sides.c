/* Where Linux deviates from the staged plan a kernel may do what Linux does today (bit 0), or what a
 * clause of the plan demands (the other bits). What it does at one step it has to do at all of them.
 */
static unsigned int sides = ~0U;

/* Only the sides remain that the kernel was seen to be on, if there are any. */
static void keep_sides(unsigned int seen)
{
	if (sides & seen)
		sides &= seen;
}

static int kernel_side(void)
{
	return __builtin_ctz(sides);
}
