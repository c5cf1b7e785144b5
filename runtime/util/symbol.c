#include "util/symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* An object's file in memory. */
struct image {
	const uint8_t *data;
	size_t size;
};

static bool image_open(struct image *m, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *data = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (data == MAP_FAILED)
		return false;
	*m = (struct image){ data, (size_t)st.st_size };
	return true;
}

/* n records of that size at an offset; NULL if the file does not hold them. */
static const void *image_at(const struct image *m, uint64_t off, uint64_t n, size_t size)
{
	if (n > m->size / size || off > m->size - n * size)
		return NULL;
	return m->data + off;
}

static const Elf64_Shdr *sections(const struct image *m, unsigned *n)
{
	const Elf64_Ehdr *h = image_at(m, 0, 1, sizeof(*h));

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	*n = h->e_shnum;
	return image_at(m, h->e_shoff, h->e_shnum, sizeof(Elf64_Shdr));
}

/* A name in a string table, NULL unless it ends inside of it. */
static const char *string_at(const struct image *m, const Elf64_Shdr *table, uint32_t off)
{
	const char *text = image_at(m, table->sh_offset, table->sh_size, 1);

	if (!text || off >= table->sh_size || !memchr(text + off, '\0', table->sh_size - off))
		return NULL;
	return text + off;
}

/* The function that covers an offset from the object's base. */
static const char *find_function(const struct image *m, uint64_t at)
{
	unsigned n = 0;
	const Elf64_Shdr *s = sections(m, &n);

	for (unsigned i = 0; s && i < n; i++) {
		uint64_t count = s[i].sh_size / sizeof(Elf64_Sym);
		const Elf64_Sym *sym = s[i].sh_type == SHT_SYMTAB ? image_at(m, s[i].sh_offset, count, sizeof(*sym))
								  : NULL;

		for (uint64_t k = 0; sym && s[i].sh_link < n && k < count; k++) {
			if (ELF64_ST_TYPE(sym[k].st_info) == STT_FUNC && at >= sym[k].st_value &&
			    at - sym[k].st_value < sym[k].st_size)
				return string_at(m, &s[s[i].sh_link], sym[k].st_name);
		}
	}
	return NULL;
}

/* Where an object was loaded from. A private copy in memory is called what its file was: the kernel keeps that name. */
static const char *object_name(const char *file, char *link, size_t size)
{
	const char *slash = strrchr(file, '/'), *gone;
	ssize_t n = strncmp(file, "/proc/", 6) == 0 ? readlink(file, link, size - 1) : -1;

	if (n <= 0)
		return slash ? slash + 1 : file;
	link[n] = '\0';
	if ((gone = strstr(link, " (deleted)")))
		link[gone - link] = '\0';
	slash = strrchr(link, ':');
	return slash ? slash + 1 : link;
}

void symbol_name(const void *address, char *text, size_t size)
{
	struct image m = { NULL, 0 };
	char link[256];
	Dl_info info;

	snprintf(text, size, "%p", address);
	if (!dladdr(address, &info) || !info.dli_fname)
		return;
	const char *object = object_name(info.dli_fname, link, sizeof(link));
	size_t at = (size_t)((const char *)address - (const char *)info.dli_fbase);
	const char *name = image_open(&m, info.dli_fname) ? find_function(&m, at) : NULL;

	if (!name && info.dli_saddr == address)
		name = info.dli_sname;
	if (name)
		snprintf(text, size, "%s (%s)", name, object);
	else
		snprintf(text, size, "%s+%#zx", object, at);
	if (m.data)
		munmap((void *)m.data, m.size);
}

static bool is_function(const Elf64_Sym *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_shndx != SHN_UNDEF && s->st_value;
}

/* The functions of one symbol table. */
static bool add_functions(struct symbols *to, const struct image *m, const Elf64_Shdr *table, const Elf64_Shdr *names)
{
	uint64_t count = table->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *sym = image_at(m, table->sh_offset, count, sizeof(*sym));

	if (!sym || !count)
		return true;
	struct symbol *v = realloc(to->v, (to->n + count) * sizeof(*v));

	if (!v)
		return false;
	to->v = v;
	for (uint64_t k = 0; k < count; k++) {
		const char *name = is_function(&sym[k]) ? string_at(m, names, sym[k].st_name) : NULL;

		if (name)
			v[to->n++] = (struct symbol){ to->base + sym[k].st_value, name };
	}
	return true;
}

bool symbols_read(struct symbols *s, const void *inside)
{
	struct image m = { NULL, 0 };
	bool fine = true;
	unsigned n = 0;
	Dl_info info;

	*s = (struct symbols){ .v = NULL };
	if (!dladdr(inside, &info) || !info.dli_fname || !image_open(&m, info.dli_fname))
		return true;
	s->base = (uintptr_t)info.dli_fbase;
	s->file = m.data;
	s->size = m.size;
	const Elf64_Shdr *table = sections(&m, &n);

	for (unsigned i = 0; table && i < n && fine; i++)
		if ((table[i].sh_type == SHT_SYMTAB || table[i].sh_type == SHT_DYNSYM) && table[i].sh_link < n)
			fine = add_functions(s, &m, &table[i], &table[table[i].sh_link]);
	return fine;
}

void symbols_free(struct symbols *s)
{
	free(s->v);
	if (s->file)
		munmap((void *)s->file, s->size);
	*s = (struct symbols){ .v = NULL };
}
