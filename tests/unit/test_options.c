#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"
#include "pkt/decode.h"

enum { MAX_WORDS = 16 };

/* A command line split at spaces; parsing leaves argv alone, so the words must be as they were. */
struct line {
	char text[512];
	char *argv[MAX_WORDS + 1];
	int argc;
	struct options o;
	char err[256];
};

static int parse(struct line *l, const char *text)
{
	char *save = NULL;

	memset(l, 0, sizeof(*l));
	snprintf(l->text, sizeof(l->text), "mos-run %s", text);
	for (char *w = strtok_r(l->text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_in_range(l->argc, 0, MAX_WORDS - 1);
		l->argv[l->argc++] = w;
	}
	return options_parse(&l->o, l->argc, l->argv, l->err, sizeof(l->err));
}

static void parse_fine(struct line *l, const char *text)
{
	if (parse(l, text) != 0)
		fail_msg("'%s' was refused: %s", text, l->err);
}

static void a_script_alone_gets_the_defaults(void **state)
{
	struct line l;
	struct settings def;

	(void)state;
	settings_default(&def);
	parse_fine(&l, "a.lua");
	assert_string_equal(l.o.script, "a.lua");
	assert_false(l.o.script_is_so);
	assert_int_equal(l.o.ninputs, 0);
	assert_int_equal(l.o.nargs, 0);
	assert_null(l.o.filter);
	assert_null(l.o.output);
	assert_false(l.o.check || l.o.stats || l.o.help || l.o.version || l.o.explain);
	assert_null(l.o.new_monitor);
	assert_int_equal(l.o.events, EVENTS_NONE);
	assert_int_equal(l.o.verbosity, 0);
	assert_memory_equal(&l.o.set, &def, sizeof(def));
	options_fini(&l.o);
}

static void the_defaults_are_the_documented_ones(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua");
	assert_int_equal(l.o.set.max_conns, 1000000);
	assert_int_equal(l.o.set.buffer_memory, 1ull << 30);
	assert_int_equal(l.o.set.linger_ns, 5000000000ull);
	assert_false(l.o.set.midstream);
	assert_false(l.o.set.verify_checksums);
	assert_int_equal(l.o.set.on_error, ON_ERROR_PASS);
	options_fini(&l.o);
}

static void every_option_arrives(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "-r a.pcap -f tcp -w out.pcap --midstream --check --stats --on-error=drop a.lua");
	assert_int_equal(l.o.ninputs, 1);
	assert_string_equal(l.o.inputs[0], "a.pcap");
	assert_string_equal(l.o.filter, "tcp");
	assert_string_equal(l.o.output, "out.pcap");
	assert_true(l.o.set.midstream && l.o.check && l.o.stats);
	assert_int_equal(l.o.set.on_error, ON_ERROR_DROP);
	options_fini(&l.o);

	parse_fine(
		&l,
		"--read a --filter b --write c --verify-checksums --max-conns 7 --buffer-memory 8 --linger 9 -v x.so");
	assert_string_equal(l.o.inputs[0], "a");
	assert_string_equal(l.o.filter, "b");
	assert_string_equal(l.o.output, "c");
	assert_true(l.o.set.verify_checksums);
	assert_int_equal(l.o.set.max_conns, 7);
	assert_int_equal(l.o.set.buffer_memory, 8);
	assert_int_equal(l.o.set.linger_ns, 9000000000ull);
	assert_int_equal(l.o.verbosity, 1);
	assert_true(l.o.script_is_so);
	options_fini(&l.o);
}

static void options_may_follow_the_script_and_stand_together(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua -qrx.pcap --on-error stop");
	assert_string_equal(l.o.script, "a.lua");
	assert_string_equal(l.o.inputs[0], "x.pcap");
	assert_int_equal(l.o.verbosity, -1);
	assert_int_equal(l.o.set.on_error, ON_ERROR_STOP);
	options_fini(&l.o);
}

static void captures_keep_their_order(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "-r b -r - a.lua -r a -r b");
	assert_int_equal(l.o.ninputs, 4);
	assert_string_equal(l.o.inputs[0], "b");
	assert_string_equal(l.o.inputs[1], "-");
	assert_string_equal(l.o.inputs[2], "a");
	assert_string_equal(l.o.inputs[3], "b");
	options_fini(&l.o);
}

static void what_follows_two_dashes_is_the_scripts(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua -q -- --stats -r x --");
	assert_int_equal(l.o.nargs, 4);
	assert_string_equal(l.o.args[0], "--stats");
	assert_string_equal(l.o.args[2], "x");
	assert_string_equal(l.o.args[3], "--");
	assert_false(l.o.stats);
	assert_int_equal(l.o.ninputs, 0);
	options_fini(&l.o);
}

static void the_command_line_itself_stays_as_it_is(void **state)
{
	struct line l;
	static const char *const words[] = { "mos-run", "a.lua", "-q", "-r", "x", "--", "b" };

	(void)state;
	parse_fine(&l, "a.lua -q -r x -- b");
	for (int i = 0; i < l.argc; i++)
		assert_string_equal(l.argv[i], words[i]);
	options_fini(&l.o);
}

static void help_version_and_events_need_no_script(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "--help");
	assert_true(l.o.help);
	options_fini(&l.o);
	parse_fine(&l, "-h");
	assert_true(l.o.help);
	options_fini(&l.o);
	parse_fine(&l, "--version");
	assert_true(l.o.version);
	options_fini(&l.o);
	parse_fine(&l, "--events");
	assert_int_equal(l.o.events, EVENTS_TEXT);
	options_fini(&l.o);
	parse_fine(&l, "--events=markdown a.lua");
	assert_int_equal(l.o.events, EVENTS_MARKDOWN);
	assert_string_equal(l.o.script, "a.lua");
	options_fini(&l.o);
}

static void sizes_have_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "64K", 65536 },
		{ "64k", 65536 },
		{ "3M", 3ull << 20 },
		{ "2g", 2ull << 30 },
		{ "17179869183G", 17179869183ull << 30 },
	};
	char text[64];
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), "a.lua --buffer-memory %s", sizes[i].text);
		parse_fine(&l, text);
		assert_int_equal(l.o.set.buffer_memory, sizes[i].bytes);
		options_fini(&l.o);
	}
}

static void seconds_have_decimals(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} times[] = {
		{ "0", 0 },           { "1.5", 1500000000 }, { "0.000000001", 1 }, { "86400", 86400000000000 },
		{ "2.", 2000000000 },
	};
	char text[64];
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(text, sizeof(text), "a.lua --linger=%s", times[i].text);
		parse_fine(&l, text);
		assert_int_equal(l.o.set.linger_ns, times[i].ns);
		options_fini(&l.o);
	}
}

static void interfaces_are_watched_or_paired(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua -i eth0 --interface=eth1:eth2,eth3 -j 3 --user nobody --fail-closed");
	assert_int_equal(l.o.npairs, 3);
	assert_string_equal(l.o.pairs[0].a, "eth0");
	assert_null(l.o.pairs[0].b);
	assert_string_equal(l.o.pairs[1].a, "eth1");
	assert_string_equal(l.o.pairs[1].b, "eth2");
	assert_string_equal(l.o.pairs[2].a, "eth3");
	assert_int_equal(l.o.workers, 3);
	assert_string_equal(l.o.user, "nobody");
	assert_true(l.o.set.fail_closed);
	assert_int_equal(l.o.set.on_error, ON_ERROR_DROP);
	options_fini(&l.o);
	parse_fine(&l, "a.lua --on-error=pass --fail-closed");
	assert_int_equal(l.o.set.on_error, ON_ERROR_PASS);
	options_fini(&l.o);
	parse_fine(&l, "a.lua --fail-closed --fail-open");
	assert_int_equal(l.o.set.on_error, ON_ERROR_PASS);
	assert_false(l.o.set.fail_closed);
	assert_int_equal(l.o.workers, 0);
	options_fini(&l.o);
}

static void what_is_done_at_a_limit_stands_behind_it(void **state)
{
	static const struct {
		const char *line;
		bool conns_pass, memory_largest;
	} lines[] = {
		{ "a.lua", false, false },
		{ "a.lua --max-conns 5,pass --buffer-memory 5M,largest", true, true },
		{ "a.lua --max-conns 5,evict --buffer-memory 5,lose", false, false },
		{ "a.lua --max-conns 5,pass --max-conns 6 --buffer-memory 5,largest", false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct line l;

		parse_fine(&l, lines[i].line);
		assert_int_equal(l.o.set.conns_pass, lines[i].conns_pass);
		assert_int_equal(l.o.set.memory_largest, lines[i].memory_largest);
		options_fini(&l.o);
	}
}

static void encapsulations_to_leave_add_up_and_an_overlap_policy_is_one(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua -r a --preload");
	assert_int_equal(l.o.repeat, 1);
	options_fini(&l.o);

	parse_fine(&l, "a.lua -r a --repeat 12 --preload");
	assert_int_equal(l.o.repeat, 12);
	options_fini(&l.o);

	parse_fine(&l, "a.lua --no-decap gre --no-decap vxlan --frag-overlap linux");
	assert_int_equal(l.o.no_decap, 1 << DECAP_GRE | 1 << DECAP_VXLAN);
	assert_int_equal(l.o.set.defrag.overlap, MOS_OVERLAP_POLICY_LINUX);
	options_fini(&l.o);
	parse_fine(&l, "a.lua");
	assert_int_equal(l.o.no_decap, 0);
	assert_int_equal(l.o.set.defrag.overlap, MOS_OVERLAP_POLICY_FIRST);
	options_fini(&l.o);
}

static void explaining_and_a_new_monitor_need_no_script(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "--explain -r a.pcap");
	assert_true(l.o.explain);
	assert_null(l.o.script);
	options_fini(&l.o);
	parse_fine(&l, "--new-monitor x");
	assert_string_equal(l.o.new_monitor, "x");
	options_fini(&l.o);
}

static void what_is_wrong_is_named_in_one_line(void **state)
{
	static const struct {
		const char *line;
		const char *err;
	} lines[] = {
		{ "", "no script given; try 'mos-run --help'" },
		{ "-- a.lua", "no script given; try 'mos-run --help'" },
		{ "--explain -j 2", "--explain follows one worker; leave out -j" },
		{ "--new-monitor", "option '--new-monitor' needs its NAME" },
		{ "--statz a.lua", "unknown option '--statz'; did you mean '--stats'?" },
		{ "a.lua --on-eror=pass", "unknown option '--on-eror'; did you mean '--on-error'?" },
		{ "a.lua -i", "option '-i' needs its A[:B]" },
		{ "a.lua -i a:", "-i takes an interface, or two as A:B, not 'a:'" },
		{ "a.lua -i a:b:c", "-i takes an interface, or two as A:B, not 'a:b:c'" },
		{ "a.lua -i a,,b", "-i takes an interface, or two as A:B, not ''" },
		{ "a.lua -i a:a", "a:a: packets cannot pass from an interface to itself" },
		{ "a.lua -i a -i b:a", "'a' is named twice" },
		{ "a.lua -p 0:", "-p takes the number of a port, or two as A:B, not '0:'" },
		{ "a.lua -p 0 -i a", "-i and -p: either interfaces or ports of DPDK" },
		{ "a.lua --eal -v", "--eal and --mac go with -p" },
		{ "a.lua -i a -r f", "-r and -i or -p: packets come from captures or from interfaces" },
		{ "a.lua -j 0", "-j takes a number of workers from 1 to 64, not '0'" },
		{ "a.lua -j 65", "-j takes a number of workers from 1 to 64, not '65'" },
		{ "--gibberish a.lua", "unknown option '--gibberish'" },
		{ "-stats a.lua", "unknown option '-stats'; did you mean '--stats'?" },
		{ "-z a.lua", "unknown option '-z'" },
		{ "-qz a.lua", "unknown option '-z'" },
		{ "--help -z", "unknown option '-z'" },
		{ "--stats=all a.lua", "option '--stats' takes no value" },
		{ "a.lua -r", "option '-r' needs its FILE" },
		{ "a.lua -qf", "option '-f' needs its FILTER" },
		{ "a.lua --max-conns", "option '--max-conns' needs its NUMBER" },
		{ "a.lua -r a --repeat 0", "--repeat takes a number from 1 to 1000000000, not '0'" },
		{ "a.lua --preload", "--preload and --repeat need a capture: -r FILE" },
		{ "a.lua --no-decap gra", "unknown --no-decap 'gra'; did you mean 'gre'?" },
		{ "a.lua --frag-overlap os2",
		  "unknown --frag-overlap 'os2'; there are first, last, bsd, linux, old_linux, windows, vista, solaris, hpux, "
		  "macos" },
		{ "a.lua --max-conns 5,refuse",
		  "--max-conns: what is done at the limit is evict or pass, not 'refuse'" },
		{ "a.lua --buffer-memory 5M,",
		  "--buffer-memory: what is done at the limit is lose or largest, not ''" },
		{ "a.lua --max-conns 0", "--max-conns takes a number from 1 to 100000000, not '0'" },
		{ "a.lua --max-conns -1", "--max-conns takes a number from 1 to 100000000, not '-1'" },
		{ "a.lua --max-conns 1e6", "--max-conns takes a number from 1 to 100000000, not '1e6'" },
		{ "a.lua --max-conns 100000001", "--max-conns takes a number from 1 to 100000000, not '100000001'" },
		{ "a.lua --buffer-memory x", "--buffer-memory takes a size such as 64M or 2G, not 'x'" },
		{ "a.lua --buffer-memory 1T", "--buffer-memory takes a size such as 64M or 2G, not '1T'" },
		{ "a.lua --buffer-memory 1KB", "--buffer-memory takes a size such as 64M or 2G, not '1KB'" },
		{ "a.lua --buffer-memory 17179869184G",
		  "--buffer-memory takes a size such as 64M or 2G, not '17179869184G'" },
		{ "a.lua --buffer-memory 18446744073709551616",
		  "--buffer-memory takes a size such as 64M or 2G, not '18446744073709551616'" },
		{ "a.lua --linger inf", "--linger takes seconds from 0 to 86400, not 'inf'" },
		{ "a.lua --linger -1", "--linger takes seconds from 0 to 86400, not '-1'" },
		{ "a.lua --linger 86401", "--linger takes seconds from 0 to 86400, not '86401'" },
		{ "a.lua --linger 1.0000000001", "--linger takes seconds from 0 to 86400, not '1.0000000001'" },
		{ "a.lua --on-error dorp", "--on-error takes pass, drop or stop; did you mean 'drop'?" },
		{ "a.lua --on-error ignore", "--on-error takes pass, drop or stop, not 'ignore'" },
		{ "--events=html", "--events takes nothing or '=markdown', not '=html'" },
		{ "a.lua b.lua", "one script at a time: 'b.lua' is a second (arguments for the script go after '--')" },
		{ "a.lua -r - -r -", "standard input can be read only once" },
		{ "a.lua -r x -w x", "'x' cannot be read and written at once" },
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(&l, lines[i].line), EXIT_USAGE);
		assert_string_equal(l.err, lines[i].err);
		options_fini(&l.o);
	}
}

static void a_filter_through_standard_streams_is_fine(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua -r - -w -");
	assert_string_equal(l.o.output, "-");
	options_fini(&l.o);
}

static void a_long_message_is_cut_to_its_buffer(void **state)
{
	struct line l;

	(void)state;
	parse_fine(&l, "a.lua");
	options_fini(&l.o);
	l.argv[2] = l.argv[1];
	l.argv[3] = NULL;
	memset(l.err, 'x', sizeof(l.err));
	assert_int_equal(options_parse(&l.o, 3, l.argv, l.err, 8), EXIT_USAGE);
	assert_string_equal(l.err, "one scr");
	assert_int_equal(l.err[8], 'x');
	options_fini(&l.o);
}

static void help_fits_a_terminal_and_names_every_option(void **state)
{
	static const char *const names[] = {
		"--read FILE",
		"--interface A[:B]",
		"--user NAME",
		"--fail-closed",
		"--filter FILTER",
		"--write FILE",
		"--no-decap KIND",
		"--frag-overlap POLICY",
		"--preload",
		"--repeat NUMBER",
		"--midstream",
		"--check",
		"--events",
		"--explain",
		"--new-monitor",
		"=markdown",
		"--stats",
		"--on-error ACTION",
		"--max-conns NUMBER",
		"--linger",
		"--buffer-memory SIZE",
		"--verify-checksums",
		"--quiet",
		"--verbose",
		"--version",
		"--help",
		"(default 1000000)",
		"(default 1G)",
		"(default 5)",
	};
	char *text = NULL;
	size_t size = 0;
	unsigned lines = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_non_null(f);
	options_help(f);
	fclose(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strstr(text, names[i]))
			fail_msg("--help does not say '%s'", names[i]);
	}
	for (const char *line = text; *line; lines++) {
		size_t len = strcspn(line, "\n");

		assert_in_range(len, 1, 80);
		line += len + 1;
	}
	assert_in_range(lines, 15, 24);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_script_alone_gets_the_defaults),
		cmocka_unit_test(the_defaults_are_the_documented_ones),
		cmocka_unit_test(every_option_arrives),
		cmocka_unit_test(options_may_follow_the_script_and_stand_together),
		cmocka_unit_test(captures_keep_their_order),
		cmocka_unit_test(what_follows_two_dashes_is_the_scripts),
		cmocka_unit_test(the_command_line_itself_stays_as_it_is),
		cmocka_unit_test(help_version_and_events_need_no_script),
		cmocka_unit_test(sizes_have_suffixes),
		cmocka_unit_test(seconds_have_decimals),
		cmocka_unit_test(interfaces_are_watched_or_paired),
		cmocka_unit_test(what_is_done_at_a_limit_stands_behind_it),
		cmocka_unit_test(encapsulations_to_leave_add_up_and_an_overlap_policy_is_one),
		cmocka_unit_test(explaining_and_a_new_monitor_need_no_script),
		cmocka_unit_test(what_is_wrong_is_named_in_one_line),
		cmocka_unit_test(a_filter_through_standard_streams_is_fine),
		cmocka_unit_test(a_long_message_is_cut_to_its_buffer),
		cmocka_unit_test(help_fits_a_terminal_and_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
