/* The page has what the device wrote, with its serial number where that was given. */
static bool landed(struct dma seen, const char *serial)
{
	static const char qemu[] = "nqn.2019-08.org.qemu:";

	if (seen.end != COMPLETED || !seen.changed)
		return false;
	if (!serial)
		return !strncmp(seen.signature, "nqn.", 4);
	return !strcmp(seen.signature, text("%s%s", qemu, serial));
}
