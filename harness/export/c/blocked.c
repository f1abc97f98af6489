static bool blocked(struct dma seen)
{
	return seen.end == REFUSED && !seen.changed;
}
