static const char *dma_text(struct dma seen)
{
	static const char *const ends[] = {
		[COMPLETED] = "the device completed its DMA",
		[REFUSED] = "the device's DMA was refused",
		[NO_END] = "the device's DMA did not end",
		[NOT_THERE] = "the device does not answer at all",
	};

	return text("%s, %d bytes changed, signed `%s`", ends[seen.end], seen.changed,
		    seen.signature);
}
