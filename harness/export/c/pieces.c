#include <string.h>
#include <sys/mman.h>

/* Memory whose pages follow one another in physical memory for a few pages at a time: pieces of a huge page. */
static long pieces(size_t length, int fill)
{
	static const size_t pages[] = { 2, 5, 1, 7, 3, 4, 9, 1, 6 };
	const size_t huge = 0x200000;
	char *room, *from, *start;
	size_t done = 0;
	int next = 0;

	if (length > huge / 2)
		return -1;
	room = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (room == MAP_FAILED || start == MAP_FAILED)
		return -1;
	from = (char *)(((long)room + huge - 1) & ~(long)(huge - 1));
	memset(from, fill, huge);
	while (done < length) {
		size_t piece = pages[next++ % 9] * 0x1000;

		if (piece > length - done)
			piece = length - done;
		if (mremap(from, piece, piece, MREMAP_MAYMOVE | MREMAP_FIXED, start + done) == MAP_FAILED)
			return -1;
		done += piece;
		from += piece + 0x1000;
	}
	munmap(room, 2 * huge);
	return (long)start;
}
