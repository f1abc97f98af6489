static void want_refused(long ret)
{
	if (ret != -1)
		fail("an errno", "success");
}
