#include "mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* On the caller's stack: it waits. */
struct mail {
	struct mail *next;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
	bool done;
	int answer;
};

int mailbox_init(struct mailbox *m)
{
	*m = (struct mailbox){ .closed = true };
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->done, NULL);
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->wake_fd < 0 ? -errno : 0;
}

void mailbox_fini(struct mailbox *m)
{
	if (m->wake_fd >= 0)
		close(m->wake_fd);
	pthread_cond_destroy(&m->done);
	pthread_mutex_destroy(&m->lock);
}

void mailbox_open(struct mailbox *m)
{
	pthread_mutex_lock(&m->lock);
	m->closed = false;
	pthread_mutex_unlock(&m->lock);
}

/* The oldest mail, with the lock held; NULL: there is none. */
static struct mail *mail_take(struct mailbox *m)
{
	struct mail *mail = m->first;

	if (mail)
		m->first = mail->next;
	if (!m->first) {
		m->last = NULL;
		atomic_store(&m->pending, false);
	}
	return mail;
}

/* With the lock held. The mail is its caller's again. */
static void mail_answer(struct mailbox *m, struct mail *mail, int answer)
{
	mail->answer = answer;
	mail->done = true;
	pthread_cond_broadcast(&m->done);
}

void mailbox_close(struct mailbox *m)
{
	struct mail *mail;

	pthread_mutex_lock(&m->lock);
	m->closed = true;
	while ((mail = mail_take(m)))
		mail_answer(m, mail, -ESRCH);
	pthread_mutex_unlock(&m->lock);
}

void mailbox_run(struct mailbox *m, struct worker *w)
{
	struct mail *mail;

	pthread_mutex_lock(&m->lock);
	while ((mail = mail_take(m))) {
		pthread_mutex_unlock(&m->lock);
		mail->fn(w, mail->arg);
		pthread_mutex_lock(&m->lock);
		mail_answer(m, mail, 0);
	}
	pthread_mutex_unlock(&m->lock);
}

static void mail_add(struct mailbox *m, struct mail *mail)
{
	const uint64_t one = 1;

	*(m->last ? &m->last->next : &m->first) = mail;
	m->last = mail;
	atomic_store(&m->pending, true);
	while (write(m->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int mailbox_call(struct mailbox *m, void (*fn)(struct worker *w, void *arg), void *arg)
{
	struct mail mail = { .fn = fn, .arg = arg };

	pthread_mutex_lock(&m->lock);
	if (m->closed) {
		mail.answer = -ESRCH;
	} else {
		mail_add(m, &mail);
		while (!mail.done)
			pthread_cond_wait(&m->done, &m->lock);
	}
	pthread_mutex_unlock(&m->lock);
	return mail.answer;
}
