/* Threads that run jobs which know nothing of Python: no lock of the interpreter's is ever waited for. */

#ifndef FLIGHTREC_POOL_H
#define FLIGHTREC_POOL_H

#include <stdbool.h>

enum { WAITING, RUNNING, DONE };

typedef struct Job {
    void (*run)(struct Job *);
    struct Job *next;
    unsigned long process; /* which child of a fork it belongs to */
    int state;
} Job;

/* Put the job where threads look for one. None is woken: that takes longer than to encode a small chunk. */
void pool_submit(Job *job);

/* Have up to so many threads run what was submitted; with none to be had, whoever waits for a job runs it. */
void pool_start(int threads);

/* Until the job is done; one that nobody has begun is run here. */
void pool_await(Job *job);

/* No thread will touch the job any more when this returns true; false of a job that a fork left behind running. */
bool pool_forget(Job *job);

#endif
