#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/conf.h"
#include "util/log.h"

static char err[256];

/* Parse text into c, with what it warned of in err; the reason where it is refused. */
static int parse(struct conf *c, const char *text)
{
	char line[256] = "";
	int fds[2], saved = dup(STDERR_FILENO), rc;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	conf_default(c);
	err[0] = '\0';
	rc = conf_parse(c, "mos.conf", text, err, sizeof(err));
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	ssize_t n = read(fds[0], line, sizeof(line) - 1);

	close(fds[0]);
	if (n > 0 && rc == 0)
		memcpy(err, line, (size_t)n + 1);
	return rc;
}

static void every_block_and_key_is_read(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(
		parse(&c,
		      "application {\n type = monitor\n run = nat -c 1\n cpu_mask = 0x3\n ip_forward = 0\n}\n"
		      "mos {\n"
		      "forward = 0 # a comment\n nb_mem_channels = 4\n max_concurrency = 5000\n"
		      "rmem_size = 0x1000\n wmem_size = 4096\n tcp_tw_interval = 30\n tcp_timeout = -1\n"
		      "no_ring_buffers = 1\n stat_print = dpdk0\n mos_log = logs/\n port = dpdk0 dpdk1\n"
		      "multiprocess = 0 master\n num_cores = 3\n"
		      "netdev { eth0 0x1\n eth1 0x6\n eal = --no-huge -m 64\n pcap_in = a b.pcap\n pcap_in = c\n pcap_out=o }\n"
		      "arp_table { 10.0.0.2/32 00:0a:0b:0c:0d:0e }\n route_table {\n 0.0.0.0/0 eth0\n }\n"
		      "nic_forward_table { eth0 eth1 }\n}\n"),
		0);
	assert_string_equal(err, "");
	assert_true(!c.forward && !c.ip_forward && c.nb_mem_channels == 4 && c.max_concurrency == 5000);
	assert_true(c.rmem_size == 4096 && c.wmem_size == 4096 && c.tcp_tw_interval == 30 && c.tcp_timeout == -1);
	assert_true(c.no_ring_buffers == 1 && c.num_cores == 3 && c.cpu_mask == 7);
	assert_string_equal(c.stat_print, "dpdk0");
	assert_string_equal(c.mos_log, "logs/");
	assert_string_equal(c.port, "dpdk0 dpdk1");
	assert_string_equal(c.multiprocess, "0 master");
	assert_true(c.netdev.n == 2 && c.pcap_in.n == 2 && c.arp.n == 1 && c.route.n == 1 && c.pairs.n == 1);
	assert_string_equal(c.netdev.v[1].name, "eth1");
	assert_string_equal(c.pcap_in.v[0].name, "a b.pcap");
	assert_string_equal(c.pcap_out, "o");
	assert_string_equal(c.eal, "--no-huge -m 64");
	assert_string_equal(c.pairs.v[0].value, "eth1");
	assert_string_equal(c.apps.v[0].name, "nat -c 1");
	assert_string_equal(c.apps.v[0].value, "0x3");
	conf_free(&c);
}

static void every_block_may_be_left_out(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(parse(&c, ""), 0);
	assert_int_equal(parse(&c, "# nothing\n\nmos {\n}\n"), 0);
	assert_true(c.forward == 1 && c.max_concurrency == 100000 && c.rmem_size == 8192 && c.tcp_timeout == 30 &&
		    c.tcp_tw_interval == 0);
	conf_free(&c);
}

static void what_is_not_known_is_warned_of_by_line(void **state)
{
	static const struct {
		const char *text, *warning;
	} cases[] = {
		{ "mos {\n forwrd = 1\n}", "mos.conf:2: unknown key 'forwrd'; did you mean 'forward'?" },
		{ "mos {\n netdev {\n pcap_inn = x\n }\n}", "mos.conf:3: unknown key 'pcap_inn'" },
		{ "mos {\n\n flows {\n a b c\n d = e\n }\n}", "mos.conf:3: unknown block 'flows'" },
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&c, cases[i].text), 0);
		assert_non_null(strstr(err, cases[i].warning));
		conf_free(&c);
	}
}

static void a_broken_file_is_refused_with_line_and_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "mos {\n forward = 1\n", "mos.conf:1: this block is not closed" },
		{ "mos {\n}\n}\n", "mos.conf:3: '}' without a block" },
		{ "\n{ }", "mos.conf:2: a block without a name" },
		{ "forward = 1", "mos.conf:1: 'forward' belongs into a block" },
		{ "mos { forward }", "mos.conf:1: 'forward' is neither a key with a value nor a block" },
		{ "mos {\n forward = }", "mos.conf:2: 'forward' has no value" },
		{ "mos { = 1 }", "mos.conf:1: a value without a key: '1'" },
		{ "mos { forward = 2 }", "mos.conf:1: forward must be a number from 0 to 1, not '2'" },
		{ "mos { rmem_size = 8k }", "mos.conf:1: rmem_size must be a number from 0 to 2147483647, not '8k'" },
		{ "mos { netdev { eth0 } }", "mos.conf:1: an interface needs a mask of cores, as in 'eth0 0x1'" },
		{ "mos { netdev { eth0 1 2 } }", "mos.conf:1: more than two words behind 'eth0'" },
		{ "mos { arp_table { 10.0.0.1 x } }",
		  "mos.conf:1: '10.0.0.1' is not an address and prefix, as in 10.0.0.0/24" },
		{ "mos { arp_table { 10.0.0.1/32 x } }",
		  "mos.conf:1: 'x' is not a hardware address, as in 00:11:22:33:44:55" },
		{ "mos { nic_forward_table { eth0 } }", "mos.conf:1: something is missing behind 'eth0'" },
		{ "mos { a { b { c { } } } }", "mos.conf:1: block 'c' lies too deep" },
		{ "application { cpu_mask = x }", "mos.conf:1: cpu_mask must be a number, not 'x'" },
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(parse(&c, cases[i].text) < 0);
		if (!strstr(err, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, err);
		conf_free(&c);
	}
}

static void any_bytes_are_read_or_refused(void **state)
{
	static const char *const pieces[] = { "mos", "{",      "}",    "\n",  "=",       "#",
					      " ",   "netdev", "eth0", "0x1", "forward", "-1" };
	char text[512];
	struct conf c;

	(void)state;
	log_set_level(LOG_ERROR);
	srand(3);
	for (int round = 0; round < 3000; round++) {
		text[0] = '\0';
		for (int i = 0; i < 30; i++)
			strcat(text, pieces[rand() % 12]);
		conf_default(&c);
		conf_parse(&c, "x", text, err, sizeof(err));
		conf_free(&c);
	}
}

/* A file of this text. */
static const char *file(const char *text)
{
	static char path[64];

	snprintf(path, sizeof(path), "/tmp/test_conf.%d", getpid());
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void the_override_comes_last(void **state)
{
	const char *path = file("mos { rmem_size = 1\n netdev { eth0 0x3\n pcap_in = a } }");
	struct conf c;

	(void)state;
	conf_default(&c);
	assert_int_equal(conf_read(&c, path, "pcap_in=b,pcap_in=c,pcap_out=,rmem_size=2", err, sizeof(err)), 0);
	assert_true(c.netdev.n == 0 && c.pcap_in.n == 2 && c.rmem_size == 2 && c.cpu_mask == 3);
	assert_string_equal(c.pcap_in.v[1].name, "c");
	assert_null(c.pcap_out);
	conf_free(&c);
	assert_true(conf_read(&c, path, "forward=x", err, sizeof(err)) < 0);
	assert_string_equal(err, "MOS_CONF_OVERRIDE: forward must be a number from 0 to 1, not 'x'");
	conf_free(&c);
	assert_true(conf_read(&c, path, "pcap_in", err, sizeof(err)) < 0);
	assert_string_equal(err, "MOS_CONF_OVERRIDE: 'pcap_in' is not key=value");
	conf_free(&c);
	unlink(path);
	assert_true(conf_read(&c, path, NULL, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, ": No such file or directory"));
	assert_true(conf_read(&c, "/", NULL, err, sizeof(err)) < 0);
	conf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_block_and_key_is_read),
		cmocka_unit_test(every_block_may_be_left_out),
		cmocka_unit_test(what_is_not_known_is_warned_of_by_line),
		cmocka_unit_test(a_broken_file_is_refused_with_line_and_reason),
		cmocka_unit_test(any_bytes_are_read_or_refused),
		cmocka_unit_test(the_override_comes_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
