#include "io/link_table.h"

#include <stdio.h>

#include "pkt/decode.h"
#include "util/log.h"

bool link_table_init(struct link_table *t, const char *expr)
{
	char why[120];

	*t = (struct link_table){ .expr = expr };
	if (!expr || link_filter_check(expr, why, sizeof(why)))
		return true;
	snprintf(t->error, sizeof(t->error), "filter \"%.120s\": %s", expr, why);
	return false;
}

void link_table_fini(struct link_table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		link_filter_free(t->uses[i].filter);
	t->count = 0;
}

/* False if the run cannot go on. */
static bool filter_set(struct link_table *t, struct link_use *u, const char *file)
{
	char why[100], text[40];

	u->filter = link_filter_new(t->expr, u->link, why, sizeof(why));
	if (u->filter) {
		t->fits = true;
		return true;
	}
	link_describe(u->link, text, sizeof(text));
	if (packet_link_known(u->link) && !t->fits) {
		snprintf(t->error, sizeof(t->error), "filter \"%.80s\" does not fit link type %s: %s", t->expr, text,
			 why);
		return false;
	}
	log_warn("%s: filter \"%s\" does not fit link type %s: its packets are left out (%s)", file, t->expr, text,
		 why);
	u->left_out = true;
	return true;
}

static bool use_init(struct link_table *t, struct link_use *u, const char *file)
{
	char text[40];

	if (t->count > LINK_TABLE_SIZE) {
		u->left_out = t->expr;
		log_warn("%s: more than %d link types%s", file, LINK_TABLE_SIZE,
			 t->expr ? ": packets of further ones are left out" : "");
		return true;
	}
	if (t->expr && !filter_set(t, u, file))
		return false;
	if (!packet_link_known(u->link) && !u->left_out)
		log_warn("%s: link type %s is not supported: its packets are counted, not decoded", file,
			 link_describe(u->link, text, sizeof(text)));
	return true;
}

static struct link_use *use_find(struct link_table *t, uint16_t link)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->uses[i].link == link)
			return &t->uses[i];
	return t->count > LINK_TABLE_SIZE ? &t->uses[LINK_TABLE_SIZE] : NULL;
}

bool link_table_use(struct link_table *t, uint16_t link, const char *file)
{
	struct link_use *u = use_find(t, link);

	if (!u) {
		u = &t->uses[t->count++];
		*u = (struct link_use){ .link = link };
		if (!use_init(t, u, file))
			return false;
	}
	t->last = u;
	return true;
}
