#define _POSIX_C_SOURCE 200809L /* signal masks, beside C11 */

#include "pool.h"

#include <pthread.h>
#include <signal.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t submitted = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static Job *first, **last = &first;
static int running_threads, idle_threads;
static unsigned long process;

static void unlink_job(Job *job)
{
    for (Job **place = &first; *place != NULL; place = &(*place)->next)
        if (*place == job) {
            *place = job->next;
            if (last == &job->next)
                last = place;
            return;
        }
}

/* With the lock held, before and after. */
static void run(Job *job)
{
    unlink_job(job);
    job->state = RUNNING;
    pthread_mutex_unlock(&lock);
    job->run(job);
    pthread_mutex_lock(&lock);
    job->state = DONE;
    pthread_cond_broadcast(&done);
}

static void *work(void *nothing)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (first == NULL) {
            idle_threads++;
            pthread_cond_wait(&submitted, &lock);
            idle_threads--;
        }
        run(first);
    }
    return nothing;
}

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void after_fork_in_parent(void) { pthread_mutex_unlock(&lock); }

static void after_fork_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&submitted, NULL);
    pthread_cond_init(&done, NULL);
    first = NULL;
    last = &first;
    running_threads = idle_threads = 0;
    process++;
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

/* Signals are Python's, whose handlers the main thread must be woken for. */
static bool start_thread(void)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, work, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    return started;
}

void pool_submit(Job *job)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    job->next = NULL;
    job->process = process;
    job->state = WAITING;
    *last = job;
    last = &job->next;
    pthread_mutex_unlock(&lock);
}

void pool_start(int threads)
{
    pthread_mutex_lock(&lock);
    int jobs = 0;
    for (const Job *job = first; job != NULL && jobs < threads; job = job->next)
        jobs++;
    while (running_threads < jobs && start_thread())
        running_threads++;
    for (; jobs > 0 && idle_threads > 0; jobs--)
        pthread_cond_signal(&submitted);
    pthread_mutex_unlock(&lock);
}

void pool_await(Job *job)
{
    pthread_mutex_lock(&lock);
    if (job->process == process) {
        if (job->state == WAITING)
            run(job);
        /* Others' jobs too: what waits here has nothing better to do. */
        while (job->state != DONE)
            if (first != NULL)
                run(first);
            else
                pthread_cond_wait(&done, &lock);
    }
    pthread_mutex_unlock(&lock);
}

bool pool_forget(Job *job)
{
    pthread_mutex_lock(&lock);
    bool ours = job->process == process;
    if (ours && job->state == WAITING)
        unlink_job(job);
    while (ours && job->state == RUNNING)
        pthread_cond_wait(&done, &lock);
    bool free_of_it = ours || job->state != RUNNING;
    pthread_mutex_unlock(&lock);
    return free_of_it;
}
