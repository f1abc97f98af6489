/* Lets a device read a command from IOVA, which is put into PAGE. The data that it asks for stay in the
 * device's own memory, and the completion, which goes nowhere, ends both a command that was read and
 * one that was not.
 */
static struct dma dma_read(const char *device, __u64 iova, __u64 page)
{
	volatile unsigned char *buffer = nvme_bar(device, 2, 0x2000);
	volatile unsigned char *nqn = buffer + 0x1000 + 768;
	const struct places at = { iova, NVME_BUFFER + 0x1000, NVME_BUFFER + 0x2000, (volatile void *)page };
	struct dma seen = { .changed = 0 };

	for (int byte = 0; byte < 256; byte++)
		nqn[byte] = 0xa5;
	seen.end = nvme_run(device, &at);
	for (int byte = 0; byte < 64; byte++)
		((volatile unsigned char *)page)[byte] = 0xa5;
	for (int byte = 0; byte < 256; byte++)
		seen.changed += nqn[byte] != 0xa5;
	nvme_sign(&seen, nqn);
	munmap((void *)buffer, 0x2000);
	if (seen.end == REFUSED && seen.changed)
		seen.end = COMPLETED;
	return seen;
}
