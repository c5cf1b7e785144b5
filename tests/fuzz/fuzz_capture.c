/*
 * A capture file from its first byte to its last packet's last event: reader, decoder, fragments, tracker, streams,
 * handlers.
 *
 * Input: settings; then the file.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "io/io.h"
#include "util/log.h"
#include "watch.h"

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("capture", 0);

	CLAIM(fd >= 0);
	CLAIM(write(fd, data, size) == (ssize_t)size);
	return fd;
}

/* The input, which stays open until the connections have ended; NULL if it cannot be read. */
static struct io *run(struct watch *t, const char *path)
{
	char err[256];
	struct io *in = io_pcap_open(&path, 1, NULL, err, sizeof(err));

	if (!in)
		return NULL;
	t->w->in = in;
	int rc = worker_run(t->w, NULL, NULL);

	CLAIM(rc == IO_END || rc == IO_FAILED);
	CLAIM(t->w->stats.packets == in->packets);
	return in;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t a = feed_u8(&f), whims = feed_u8(&f);
	struct settings set;
	struct watch watch = { .whims = whims >> 2 };
	char path[64];

	log_set_level(LOG_ERROR);
	settings_default(&set);
	set.max_conns = WATCH_CONNS;
	set.midstream = a & 1;
	set.verify_checksums = a & 2;
	set.linger_ns = a & 4 ? 0 : 5000000000;
	set.default_buf = a & 8 ? 300 : 65536;
	watch_init(&watch, &set);
	int fd = file_of(f.at, f.left);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct io *in = run(&watch, path);

	watch_fini(&watch);
	if (in)
		in->ops->close(in);
	close(fd);
	return 0;
}
