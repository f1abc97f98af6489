/* Lets a device write a page to IOVA, and looks for it in PAGE. The command is in the device's own
 * memory, so that nothing else crosses the IOMMU.
 */
static struct dma dma(const char *device, __u64 iova, __u64 page)
{
	volatile unsigned char *bytes = (volatile unsigned char *)page;
	volatile void *buffer = nvme_bar(device, 2, 0x1000);
	const struct places at = { NVME_BUFFER, iova, iova, buffer };
	struct dma seen = { .changed = 0 };

	for (int byte = 0; byte < 4096; byte++)
		bytes[byte] = 0xa5;
	seen.end = nvme_run(device, &at);
	munmap((void *)buffer, 0x1000);
	for (int byte = 0; byte < 4096; byte++)
		seen.changed += bytes[byte] != 0xa5;
	nvme_sign(&seen, bytes + 768);
	return seen;
}
