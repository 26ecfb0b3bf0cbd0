/* pages: memory from the kernel, in pages.
 *
 * Addresses and sizes are whole pages (mp_pages_size()), all sizes bytes. Memory comes zeroed and
 * takes no space before it is touched. Any thread may call any of these, and a forked child. For
 * base/mem.c, which keeps the books.
 */
#ifndef MP_PAGES_H
#define MP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t mp_pages_size(void);

/* NULL when the kernel gives none. A sparse area is large and little of it will be touched:
 * nothing is reserved for it and it is kept out of huge pages. */
void *mp_pages_map(size_t size);
void *mp_pages_map_sparse(size_t size);
void mp_pages_unmap(void *pages, size_t size);

/* To `size`, with the contents, perhaps elsewhere; NULL leaves the old ones as they are. */
void *mp_pages_resize(void *pages, size_t old_size, size_t size);

/* Give back what was touched; it reads as zero again. */
void mp_pages_discard(void *pages, size_t size);

/* ---- which pages were touched -------------------------------------------------------------
 * A page that was never written has no bit set. The file is open for one use only: it belongs to
 * the process that opened it. It is a descriptor, negative where the kernel does not say. */

enum { MP_PAGE_SWAPPED = 1, MP_PAGE_RESIDENT = 2 };

int mp_pages_open_states(void);
void mp_pages_close_states(int file);

/* The bits of each page from `begin` on into `states`; false when they are not known. */
bool mp_pages_read_states(int file, uintptr_t begin, size_t size, uint64_t *states);

#endif
