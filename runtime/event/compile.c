#include "event/hset_parts.h"

#include <errno.h>
#include <stdlib.h>

/* A node of the forest that a program needs. Nodes are numbered from 1, so that 0 means none. */
struct node {
	const struct event *def;
	struct handler handler;
	uint32_t up, child, sibling; /* within one program; children in order of definition */
	uint32_t at;                 /* its step */
};

/* One slot's part of the work. */
struct build {
	struct hset *s;
	uint32_t nevents;
	uint32_t *node_of; /* by event index; 0: not needed */
	struct node *nodes;
	uint32_t n, cap;
	uint32_t nsteps;
};

static uint32_t node_add(struct build *b, const struct event *e)
{
	if (b->n + 1 >= b->cap) {
		uint32_t cap = b->cap ? 2 * b->cap : 16;
		struct node *nodes = realloc(b->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return 0;
		b->nodes = nodes;
		b->cap = cap;
	}
	b->nodes[++b->n] = (struct node){ .def = e };
	b->node_of[e->index] = b->n;
	return b->n;
}

/* The event that r names and all that leads there. */
static int gather(struct build *b, const struct registration *r)
{
	const struct event *e = event_find(r->event);
	bool first = true;

	for (; e; e = event_find(e->parent), first = false) {
		uint32_t i = b->node_of[e->index];
		bool known = i != 0;

		if (!known && !(i = node_add(b, e)))
			return -ENOMEM;
		if (first)
			b->nodes[i].handler = r->handler;
		if (known)
			break;
	}
	return 0;
}

/* Programs begin at built-in events and at those that are raised by hand. */
static bool begins_program(const struct event *e)
{
	return e->kind == EVENT_BUILTIN || e->kind == EVENT_RAISED;
}

static void link_children(struct build *b)
{
	for (uint32_t index = b->nevents; index-- > 0;) {
		uint32_t i = b->node_of[index];

		if (!i || begins_program(b->nodes[i].def))
			continue;
		uint32_t up = b->node_of[event_find(b->nodes[i].def->parent)->index];

		b->nodes[i].up = up;
		b->nodes[i].sibling = b->nodes[up].child;
		b->nodes[up].child = i;
	}
}

static void emit_step(struct build *b, struct node *n)
{
	n->at = b->nsteps++;
	b->s->steps[n->at] = (struct step){
		.event = n->def->id,
		.def = n->def,
		.kind = n->def->kind,
		.handler = n->handler,
	};
}

/* The nodes from top down in preorder. A loop, because the forest may be as deep as it has events. */
static struct program emit_program(struct build *b, uint32_t top)
{
	uint32_t first = b->nsteps;
	uint32_t i = top;

	for (;;) {
		emit_step(b, &b->nodes[i]);
		if (b->nodes[i].child) {
			i = b->nodes[i].child;
			continue;
		}
		for (;;) {
			struct node *n = &b->nodes[i];

			b->s->steps[n->at].skip = b->nsteps - n->at - 1;
			if (i == top)
				return (struct program){ first, b->nsteps - first };
			if (n->sibling) {
				i = n->sibling;
				break;
			}
			i = n->up;
		}
	}
}

static int reserve(struct build *b)
{
	struct hset *s = b->s;
	struct step *steps = realloc(s->steps, (b->nsteps + b->n) * sizeof(*steps));

	if (!steps)
		return -ENOMEM;
	s->steps = steps;
	struct raised_program *raised = realloc(s->raised, (s->nraised + b->n) * sizeof(*raised));

	if (!raised)
		return -ENOMEM;
	s->raised = raised;
	return 0;
}

static void emit_slot(struct build *b, uint32_t slot)
{
	struct hset *s = b->s;

	for (uint32_t index = 0; index < b->nevents; index++) {
		uint32_t i = b->node_of[index];

		if (!i || !begins_program(b->nodes[i].def))
			continue;
		/* It only leads to what is raised by hand: there is nothing to run. */
		if (!b->nodes[i].child && !handler_is_set(b->nodes[i].handler))
			continue;
		struct program p = emit_program(b, i);

		if (b->nodes[i].def->kind == EVENT_BUILTIN) {
			s->programs[slot] = p;
			s->mask |= 1u << slot;
		} else {
			s->raised[s->nraised++] = (struct raised_program){ b->nodes[i].def->id, slot, p };
		}
	}
}

static int compile_slot(struct build *b, const struct registration *r, uint32_t n)
{
	int err = 0;

	for (uint32_t i = 1; i <= b->n; i++)
		b->node_of[b->nodes[i].def->index] = 0;
	b->n = 0;
	for (uint32_t i = 0; i < n && !err; i++)
		err = gather(b, &r[i]);
	if (!err)
		err = reserve(b);
	if (err)
		return err;
	link_children(b);
	emit_slot(b, r->slot);
	b->s->slots |= 1u << r->slot;
	return 0;
}

int hset_compile(struct hset *s)
{
	struct build b = { .s = s, .nevents = events_count() };
	int err = 0;

	b.node_of = calloc(b.nevents, sizeof(*b.node_of));
	if (!b.node_of)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < s->nregs && !err; i += n) {
		for (n = 1; i + n < s->nregs && s->regs[i + n].slot == s->regs[i].slot;)
			n++;
		err = compile_slot(&b, &s->regs[i], n);
	}
	free(b.node_of);
	free(b.nodes);
	if (err) {
		free(s->steps);
		free(s->raised);
		s->steps = NULL;
		s->raised = NULL;
	}
	return err;
}
