// usrsctp's timer queue, taken over. Its own is one list for the process, walked from end to end on
// each tick, and tells nobody when the next timer is due. Here each association has a short ring.
#include "stack/sctp/sctp_priv.h"

#include "base/libenv.h"

#include <assert.h>

#define CALLOUT_ACTIVE 0x0002
#define CALLOUT_PENDING 0x0004

// usrsctp calls the wrapped names; see SCTP_WRAP in the Makefile.
int __real_sctp_os_timer_start(void *c, uint32_t ticks, void (*fire)(void *), void *argument);
int __real_sctp_os_timer_stop(void *c);
int __wrap_sctp_os_timer_start(struct sctp_timer *timer, uint32_t ticks, void (*fire)(void *),
                               void *argument);
int __wrap_sctp_os_timer_stop(struct sctp_timer *timer);

static struct sctp_timers library;
static struct sctp_timers *owner = &library;

void sctp_timers_init(struct sctp_timers *timers)
{
    timers->head = (struct sctp_timer){.next = &timers->head, .before = &timers->head};
}

struct sctp_timers *sctp_timers_enter(struct sctp_timers *next)
{
    struct sctp_timers *before = owner;
    owner = next ? next : &library;
    return before;
}

static void unlink_timer(struct sctp_timer *timer)
{
    timer->before->next = timer->next;
    timer->next->before = timer->before;
}

static void link_last(struct sctp_timers *timers, struct sctp_timer *timer)
{
    timer->next = &timers->head;
    timer->before = timers->head.before;
    timer->before->next = timer;
    timers->head.before = timer;
}

// A clock that ticks gives a timer its time and a little; ours would give it exactly that. But T3
// sends again only what is older than the time it waited (sctp_mark_all_for_resend): fired at the
// very microsecond, it would find nothing old enough, double its time and wait once more.
#define LATE TIME_US

// One tick is one millisecond. Returns whether the timer was pending before.
int __wrap_sctp_os_timer_start(struct sctp_timer *timer, uint32_t ticks, void (*fire)(void *),
                               void *argument)
{
    int pending = (timer->flags & CALLOUT_PENDING) != 0;
    if (pending)
        unlink_timer(timer);
    timer->due = libenv_now() + (ticks ? ticks : 1) * TIME_MS + LATE;
    timer->argument = argument;
    timer->fire = fire;
    timer->flags = CALLOUT_ACTIVE | CALLOUT_PENDING;
    link_last(owner, timer);
    return pending;
}

int __wrap_sctp_os_timer_stop(struct sctp_timer *timer)
{
    int pending = (timer->flags & CALLOUT_PENDING) != 0;
    if (pending)
        unlink_timer(timer);
    timer->flags &= ~(CALLOUT_ACTIVE | CALLOUT_PENDING);
    return pending;
}

static struct sctp_timer *earliest(const struct sctp_timers *timers)
{
    struct sctp_timer *best = NULL;
    for (struct sctp_timer *t = timers->head.next; t != &timers->head; t = t->next) {
        if (!best || t->due < best->due)
            best = t;
    }
    return best;
}

nanotime sctp_timers_deadline(const struct sctp_timers *timers)
{
    const struct sctp_timer *first = earliest(timers);
    return first ? first->due : TIME_NEVER;
}

unsigned sctp_timers_fire(struct sctp_timers *timers, nanotime now)
{
    unsigned fired = 0;
    // Whatever a timer arms is due after now, so this ends.
    for (struct sctp_timer *t = earliest(timers); t && t->due <= now; t = earliest(timers)) {
        unlink_timer(t);
        t->flags &= ~CALLOUT_PENDING;
        t->fire(t->argument); // may free what `t` is part of
        fired++;
    }
    return fired;
}

void sctp_timers_leave_behind(struct sctp_timers *timers)
{
    while (timers->head.next != &timers->head) {
        struct sctp_timer *t = timers->head.next;
        unlink_timer(t);
        link_last(&library, t);
    }
}

static void never(void *argument)
{
    (void)argument;
}

// Let usrsctp's own functions fill a timer, and look whether every field is where we think.
void sctp_timers_library_check(void)
{
    struct sctp_timer timer = {.flags = 0};
    int argument;
    int restarted = __real_sctp_os_timer_start(&timer, 7, never, &argument);
    assert(!restarted);
    assert(timer.fire == never);
    assert(timer.argument == &argument);
    assert(timer.flags == (CALLOUT_ACTIVE | CALLOUT_PENDING));
    int stopped = __real_sctp_os_timer_stop(&timer);
    assert(stopped);
    assert(timer.flags == 0);
}

void sctp_timers_library_init(void)
{
    sctp_timers_init(&library);
    owner = &library;
}

unsigned sctp_timers_library_fire(nanotime now)
{
    struct sctp_timers *before = sctp_timers_enter(NULL);
    unsigned fired = sctp_timers_fire(&library, now);
    owner = before;
    return fired;
}
