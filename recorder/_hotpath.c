/* The body of log(), compiled: what rowcode.py generates as Python source, for a plan given as data.

A call goes through three stages, and the order is what keeps it safe:

1. gather  looks at every argument and holds what is to be stored: strong references, contiguous arrays,
           scalars as bytes. Only here may foreign code run (a key's __eq__, the callable for index lists),
           and with it other threads, signal handlers and even an attach() or a retire().
2. fits    asks for room in the block, whichever block it is by then. Nothing runs in between from here on.
3. store   copies bytes and publishes them: side rows first, the main row last.

Whatever is not plain goes to admit() with the very objects that were given, because StepLog knows its own
call by their identity. An error of gather that rowcode.FALL_BACK names means the same: not plain.
*/

#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

/* Raised with every change of what the Python side and this file say to each other: a stale build is not used. */
#define INTERFACE 2

enum { TIMESTEP, NEURAL, SPIKES, BEHAVIOR, REWARD, ARGUMENTS };
static const char *const NAMES[ARGUMENTS] = {"timestep", "neural_state", "spikes", "behavior", "reward"};
static PyObject *names[ARGUMENTS];

enum { FAILED = -1, NOT_PLAIN = 0, TAKEN = 1 };

/* One stream of the plan, and what the call under way brings for it. */
typedef struct {
    int argument;
    PyObject *key; /* NULL: the argument itself is the value */
    bool required, indices;
    uint64_t rate;
    int side;          /* its number among the side tables, -1 in the main table */
    Py_ssize_t offset; /* in the main table's packed record, -1 elsewhere */
    PyArray_Descr *dtype;
    PyTypeObject *python; /* Python's own type for such a scalar, if there is one */
    int ndim;
    npy_intp *shape;
    Py_ssize_t nbytes; /* of a row; 8 for index lists, whose rows are ends */
    PyObject *value;   /* held from gather to the end of the call; NULL: nothing comes */
    union {
        double real;
        int64_t integer;
        npy_bool truth;
        Py_complex pair;
        char bytes[32];
    } scalar;
} Stream;

/* Where a stream's next row goes. A sample is due at base + more, which may lie past 64 bits. */
typedef struct {
    char *target, *need;
    int64_t rows, capacity;
    int64_t base;
    uint64_t more;
} Place;

/* One block. Arrays keep its memory alive, and no buffers of them: those would be cleared under us with a cycle. */
typedef struct {
    PyObject *memory;
    char *counts, *head, *heap;
    int64_t heap_capacity;
    Place places[];
} Block;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *admit, *indices, *concurrent, *fall_back, *spike_indices, *signature;
    Py_ssize_t record;
    int count, sides;
    int of_argument[ARGUMENTS], required_of[ARGUMENTS];
    Stream *streams;
    Block *block;
    bool busy;
    int64_t row, capacity, heap; /* capacity 0: retired */
} Log;

/* ---- gather ---- */

static int not_plain_or_failed(Log *self)
{
    if (!PyErr_ExceptionMatches(self->fall_back))
        return FAILED;
    PyErr_Clear();
    return NOT_PLAIN;
}

static bool is_due(const Place *place, int64_t timestep)
{
    /* Without overflow: the difference of what is not smaller fits an unsigned integer. */
    return timestep >= place->base && (uint64_t)timestep - (uint64_t)place->base >= place->more;
}

static int gather_scalar(Stream *stream, PyObject *value)
{
    if (Py_TYPE(value) == stream->python) {
        int overflow;
        switch (stream->dtype->type_num) {
        case NPY_DOUBLE:
            stream->scalar.real = PyFloat_AS_DOUBLE(value);
            break;
        case NPY_BOOL:
            stream->scalar.truth = value == Py_True;
            break;
        case NPY_CDOUBLE:
            stream->scalar.pair = PyComplex_AsCComplex(value);
            break;
        default:
            stream->scalar.integer = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow)
                return NOT_PLAIN;
        }
    }
    else if (Py_TYPE(value) == stream->dtype->typeobj)
        PyArray_ScalarAsCtype(value, &stream->scalar);
    else
        return NOT_PLAIN;
    stream->value = Py_NewRef(value);
    return TAKEN;
}

static int gather_array(Log *self, Stream *stream, PyObject *value)
{
    if (!PyArray_CheckExact(value))
        return NOT_PLAIN;
    PyArrayObject *array = (PyArrayObject *)value;
    PyArray_Descr *dtype = PyArray_DESCR(array);
    if (dtype != stream->dtype && (dtype->type_num != stream->dtype->type_num || !PyArray_ISNOTSWAPPED(array)))
        return NOT_PLAIN;
    if (PyArray_NDIM(array) != stream->ndim)
        return NOT_PLAIN;
    for (int axis = 0; axis < stream->ndim; axis++)
        if (PyArray_DIM(array, axis) != stream->shape[axis])
            return NOT_PLAIN;
    if (PyArray_IS_C_CONTIGUOUS(array))
        stream->value = Py_NewRef(value);
    else {
        stream->value = PyArray_NewCopy(array, NPY_CORDER);
        if (stream->value == NULL)
            return not_plain_or_failed(self);
    }
    return TAKEN;
}

/* Integers of every width that index lists come in, with NumPy's names for them. */
#define EACH_INTEGER(DO) \
    DO(NPY_INT8, int8_t) DO(NPY_UINT8, uint8_t) DO(NPY_INT16, int16_t) DO(NPY_UINT16, uint16_t) \
    DO(NPY_INT32, int32_t) DO(NPY_UINT32, uint32_t) DO(NPY_INT64, int64_t) DO(NPY_UINT64, uint64_t)

static bool is_vector(PyObject *value)
{
    if (!PyArray_CheckExact(value))
        return false;
    PyArrayObject *array = (PyArrayObject *)value;
    return PyArray_NDIM(array) == 1 && PyArray_ISCARRAY_RO(array);
}

/* Whether it holds integers that ascend from 0 or more to less than this. */
static bool is_ascending(PyArrayObject *array, int64_t neurons)
{
    npy_intp count = PyArray_SIZE(array);
    int64_t last = -1;
    /* What is too large for 64 bits with a sign comes out below 0. */
#define ASCENDING(NAME, TYPE) \
    case NAME: { \
        const TYPE *ids = PyArray_DATA(array); \
        for (npy_intp n = 0; n < count; n++) { \
            if ((int64_t)ids[n] <= last) \
                return false; \
            last = (int64_t)ids[n]; \
        } \
        return last < neurons; \
    }
    switch (PyArray_TYPE(array)) {
        EACH_INTEGER(ASCENDING)
    default:
        return false;
    }
}

static void copy_widened(char *target, PyArrayObject *array)
{
    npy_intp count = PyArray_SIZE(array);
    int64_t *to = (int64_t *)target;
#define WIDENED(NAME, TYPE) \
    case NAME: { \
        const TYPE *ids = PyArray_DATA(array); \
        for (npy_intp n = 0; n < count; n++) \
            to[n] = (int64_t)ids[n]; \
        return; \
    }
    switch (PyArray_TYPE(array)) {
        EACH_INTEGER(WIDENED)
    }
}

/* The sorted array within a SpikeIndices of this many neurons, or within nothing; NULL if it is no such thing. */
static PyObject *sorted_indices(Log *self, PyObject *value, int64_t neurons)
{
    PyObject *ids = NULL;
    if ((PyObject *)Py_TYPE(value) == self->spike_indices) {
        PyObject *count = PyObject_GetAttrString(value, "n_neurons");
        bool same = count == Py_None;
        if (count != NULL && PyLong_CheckExact(count)) {
            int overflow;
            same = PyLong_AsLongLongAndOverflow(count, &overflow) == neurons && !overflow;
        }
        Py_XDECREF(count);
        if (same)
            ids = PyObject_GetAttrString(value, "indices");
        PyErr_Clear();
    }
    else
        ids = Py_NewRef(value);
    if (ids != NULL && !(is_vector(ids) && is_ascending((PyArrayObject *)ids, neurons)))
        Py_CLEAR(ids);
    return ids;
}

static int gather_indices(Log *self, Stream *stream, PyObject *timestep, PyObject *value)
{
    PyObject *ids = sorted_indices(self, value, stream->shape[0]);
    if (ids == NULL) {
        ids = PyObject_CallFunctionObjArgs(self->indices, timestep, value, NULL);
        if (ids == NULL)
            return not_plain_or_failed(self);
        if (!is_vector(ids) || PyArray_TYPE((PyArrayObject *)ids) != NPY_INT64) {
            Py_DECREF(ids);
            return NOT_PLAIN;
        }
    }
    stream->value = ids;
    return TAKEN;
}

static int gather(Log *self, PyObject *const *given, int64_t timestep)
{
    Py_ssize_t seen[ARGUMENTS] = {0};
    for (int argument = NEURAL; argument < ARGUMENTS; argument++) {
        if (given[argument] == Py_None) {
            if (self->required_of[argument])
                return NOT_PLAIN;
        }
        else if (!self->of_argument[argument])
            return NOT_PLAIN;
        else if ((argument == NEURAL || argument == BEHAVIOR) && !PyDict_CheckExact(given[argument]))
            return NOT_PLAIN;
    }
    for (int n = 0; n < self->count; n++) {
        Stream *stream = &self->streams[n];
        PyObject *value = given[stream->argument];
        if (value == Py_None)
            continue;
        if (stream->key != NULL) {
            value = PyDict_GetItemWithError(value, stream->key);
            if (value == NULL) {
                if (PyErr_Occurred())
                    return not_plain_or_failed(self);
                if (stream->required)
                    return NOT_PLAIN;
                continue;
            }
            seen[stream->argument]++;
        }
        if (stream->rate > 1 && (self->block == NULL || !is_due(&self->block->places[n], timestep)))
            continue;
        int taken;
        if (stream->indices)
            taken = gather_indices(self, stream, given[TIMESTEP], value);
        else if (stream->ndim)
            taken = gather_array(self, stream, value);
        else
            taken = gather_scalar(stream, value);
        if (taken != TAKEN)
            return taken;
    }
    for (int argument = NEURAL; argument <= BEHAVIOR; argument += BEHAVIOR - NEURAL)
        if (given[argument] != Py_None && PyDict_GET_SIZE(given[argument]) != seen[argument])
            return NOT_PLAIN;
    return TAKEN;
}

/* ---- fits, store ---- */

static bool fits(const Log *self)
{
    if (self->row >= self->capacity)
        return false;
    for (int n = 0; n < self->count; n++) {
        const Stream *stream = &self->streams[n];
        const Place *place = &self->block->places[n];
        if (stream->value == NULL)
            continue;
        if (stream->side >= 0 && place->rows >= place->capacity)
            return false;
        if (stream->indices
            && PyArray_SIZE((PyArrayObject *)stream->value) > self->block->heap_capacity - self->heap)
            return false;
    }
    return true;
}

/* A counter after its rows, for the compiler and for other processors. */
static void publish(char *counts, int index, int64_t rows)
{
    atomic_store_explicit((_Atomic int64_t *)(counts + 8 * (size_t)index), rows, memory_order_release);
}

static void store(Log *self, int64_t timestep)
{
    Block *block = self->block;
    char *head = block->head + self->row * self->record;
    int64_t rows = self->row + 1;
    memcpy(head, &timestep, 8);
    for (int n = 0; n < self->count; n++) {
        Stream *stream = &self->streams[n];
        Place *place = &block->places[n];
        if (stream->value == NULL)
            continue;
        int64_t end;
        const void *source = &stream->scalar;
        if (stream->indices) {
            PyArrayObject *ids = (PyArrayObject *)stream->value;
            copy_widened(block->heap + 8 * self->heap, ids);
            self->heap = end = self->heap + (int64_t)PyArray_SIZE(ids);
            source = &end;
        }
        else if (stream->ndim)
            source = PyArray_DATA((PyArrayObject *)stream->value);
        int64_t row = stream->side < 0 ? self->row : place->rows;
        char *target = stream->offset < 0 ? place->target + row * stream->nbytes : head + stream->offset;
        if (stream->nbytes == 8) /* known to the compiler: no call */
            memcpy(target, source, 8);
        else
            memcpy(target, source, (size_t)stream->nbytes);
        if (stream->side >= 0) {
            memcpy(place->need + 8 * row, &rows, 8);
            place->rows = row + 1;
            if (stream->rate > 1) {
                place->base = timestep;
                place->more = stream->rate;
            }
        }
    }
    if (self->sides)
        for (int n = 0; n < self->count; n++)
            if (self->streams[n].side >= 0 && self->streams[n].value != NULL)
                publish(block->counts, 2 * (self->streams[n].side + 1), block->places[n].rows);
    publish(block->counts, 0, rows);
    self->row = rows;
}

static int take(Log *self, PyObject *const *given)
{
    int overflow;
    if (self->row >= self->capacity || !PyLong_CheckExact(given[TIMESTEP]))
        return NOT_PLAIN;
    int64_t timestep = PyLong_AsLongLongAndOverflow(given[TIMESTEP], &overflow);
    if (overflow)
        return NOT_PLAIN;
    int taken = gather(self, given, timestep);
    if (taken == TAKEN && fits(self))
        store(self, timestep);
    else if (taken == TAKEN)
        taken = NOT_PLAIN;
    for (int n = 0; n < self->count; n++)
        Py_CLEAR(self->streams[n].value);
    return taken;
}

/* ---- the call ---- */

static int place_of(PyObject *name)
{
    /* Names in a program's source are interned; those of an unpacked dictionary need not be. */
    for (int place = 0; place < ARGUMENTS; place++)
        if (name == names[place])
            return place;
    for (int place = 0; place < ARGUMENTS; place++)
        if (PyUnicode_Compare(name, names[place]) == 0)
            return place;
    return -1;
}

static int read_keywords(PyObject *const *values, PyObject *keywords, PyObject **given, PyObject **more)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t n = 0; n < count; n++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, n);
        int place = place_of(name);
        if (place >= 0) {
            if (given[place] != NULL) {
                PyErr_Format(PyExc_TypeError, "log() got multiple values for argument '%U'", name);
                return -1;
            }
            given[place] = values[n];
            continue;
        }
        if (*more == NULL && (*more = PyDict_New()) == NULL)
            return -1;
        if (PyDict_SetItem(*more, name, values[n]) < 0)
            return -1;
    }
    return 0;
}

static PyObject *refuse(Log *self, PyObject *timestep)
{
    PyObject *error = PyObject_CallOneArg(self->concurrent, timestep);
    if (error != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

static PyObject *hand_on(Log *self, PyObject *const *given, PyObject *more)
{
    /* Held, because whoever admits may let go of this log function. */
    PyObject *admit = Py_NewRef(self->admit);
    PyObject *others = more ? Py_NewRef(more) : PyDict_New();
    PyObject *result = NULL;
    if (others != NULL) {
        PyObject *all[ARGUMENTS + 1];
        memcpy(all, given, ARGUMENTS * sizeof *given);
        all[ARGUMENTS] = others;
        result = PyObject_Vectorcall(admit, all, ARGUMENTS + 1, NULL);
        Py_DECREF(others);
    }
    Py_DECREF(admit);
    return result;
}

static PyObject *log_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *keywords)
{
    Log *self = (Log *)callable;
    PyObject *given[ARGUMENTS] = {NULL}, *more = NULL, *result = NULL;
    Py_ssize_t positional = PyVectorcall_NARGS(flags);
    if (positional > ARGUMENTS)
        return PyErr_Format(
            PyExc_TypeError, "log() takes from 0 to %d positional arguments but %zd were given", ARGUMENTS, positional
        );
    for (Py_ssize_t n = 0; n < positional; n++)
        given[n] = args[n];
    if (keywords != NULL && read_keywords(args + positional, keywords, given, &more) < 0)
        goto done;
    for (int n = 0; n < ARGUMENTS; n++)
        if (given[n] == NULL)
            given[n] = Py_None;
    if (self->admit == NULL) {
        PyErr_SetString(PyExc_ReferenceError, "this log function was collected");
        goto done;
    }
    if (self->busy) {
        refuse(self, given[TIMESTEP]);
        goto done;
    }
    self->busy = true;
    int taken = more == NULL ? take(self, given) : NOT_PLAIN;
    self->busy = false;
    if (taken == TAKEN)
        result = Py_NewRef(Py_None);
    else if (taken == NOT_PLAIN)
        result = hand_on(self, given, more);
done:
    Py_XDECREF(more);
    return result;
}

/* ---- attach, retire, position, running ---- */

static void block_free(Block *block)
{
    if (block != NULL)
        Py_XDECREF(block->memory);
    PyMem_Free(block);
}

/* The memory of one array, which must have room for so many rows of this size. */
static int room(PyObject *array, int64_t rows, Py_ssize_t size, char **data)
{
    if (!PyArray_Check(array) || !PyArray_ISCARRAY((PyArrayObject *)array)
        || (size > 0 && rows > PyArray_NBYTES((PyArrayObject *)array) / size)) {
        PyErr_SetString(PyExc_ValueError, "this is no memory for the rows of a table");
        return -1;
    }
    *data = PyArray_DATA((PyArrayObject *)array);
    return 0;
}

static int read_count(PyObject *number, int64_t *count)
{
    *count = PyLong_AsLongLong(number);
    if (*count < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a count below 0");
    return PyErr_Occurred() ? -1 : 0;
}

static int read_block(Log *self, Block *block, PyObject *memory, int64_t capacity)
{
    if (room(PyTuple_GET_ITEM(memory, 0), 2 * self->sides + 1, 8, &block->counts) < 0
        || room(PyTuple_GET_ITEM(memory, 1), capacity, self->record, &block->head) < 0)
        return -1;
    if (block->heap_capacity && room(PyTuple_GET_ITEM(memory, 2), block->heap_capacity, 8, &block->heap) < 0)
        return -1;
    for (int n = 0; n < self->count; n++) {
        Stream *stream = &self->streams[n];
        Place *place = &block->places[n];
        PyObject *need = PyTuple_GET_ITEM(memory, 3 + 2 * n), *target = PyTuple_GET_ITEM(memory, 4 + 2 * n);
        if (stream->side < 0)
            place->capacity = capacity;
        else if (room(need, place->capacity, 8, &place->need) < 0)
            return -1;
        if (stream->offset < 0 && room(target, place->capacity, stream->nbytes, &place->target) < 0)
            return -1;
    }
    return 0;
}

/* attach(memory, numbers): arrays (counters, head, heap, then need and target of each stream) and integers
   (row, capacity, heap used, heap capacity, then rows, capacity, base and more of each stream). */
static PyObject *log_attach(Log *self, PyObject *args)
{
    PyObject *memory, *numbers;
    int64_t row, capacity, heap;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &memory, &PyTuple_Type, &numbers))
        return NULL;
    if (PyTuple_GET_SIZE(memory) != 3 + 2 * self->count || PyTuple_GET_SIZE(numbers) != 4 + 4 * self->count)
        return PyErr_Format(PyExc_ValueError, "this is memory of another plan");
    Block *block = PyMem_Calloc(1, sizeof *block + (size_t)self->count * sizeof *block->places);
    if (block == NULL)
        return PyErr_NoMemory();
    int failed = read_count(PyTuple_GET_ITEM(numbers, 0), &row) < 0
        || read_count(PyTuple_GET_ITEM(numbers, 1), &capacity) < 0
        || read_count(PyTuple_GET_ITEM(numbers, 2), &heap) < 0
        || read_count(PyTuple_GET_ITEM(numbers, 3), &block->heap_capacity) < 0;
    for (int n = 0; !failed && n < self->count; n++) {
        Place *place = &block->places[n];
        failed = read_count(PyTuple_GET_ITEM(numbers, 4 + 4 * n), &place->rows) < 0
            || read_count(PyTuple_GET_ITEM(numbers, 5 + 4 * n), &place->capacity) < 0;
        if (!failed) {
            place->base = PyLong_AsLongLong(PyTuple_GET_ITEM(numbers, 6 + 4 * n));
            place->more = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(numbers, 7 + 4 * n));
            failed = PyErr_Occurred() != NULL;
        }
    }
    if (failed || read_block(self, block, memory, capacity) < 0) {
        block_free(block);
        return NULL;
    }
    block->memory = Py_NewRef(memory);
    /* Nothing runs between here and the new capacity: a call gets into the one block or into the other. */
    Block *before = self->block;
    self->block = block;
    self->row = row;
    self->heap = heap;
    self->capacity = capacity;
    block_free(before);
    Py_RETURN_NONE;
}

static PyObject *log_retire(Log *self, PyObject *Py_UNUSED(none))
{
    self->capacity = 0;
    Py_RETURN_NONE;
}

static PyObject *log_running(Log *self, PyObject *Py_UNUSED(none))
{
    return PyBool_FromLong(self->busy);
}

/* (row, heap used, then (rows, base, more) of each stream) */
static PyObject *log_position(Log *self, PyObject *Py_UNUSED(none))
{
    static const Place start = {0};
    PyObject *all = PyTuple_New(2 + self->count);
    if (all == NULL)
        return NULL;
    PyTuple_SET_ITEM(all, 0, PyLong_FromLongLong(self->row));
    PyTuple_SET_ITEM(all, 1, PyLong_FromLongLong(self->heap));
    for (int n = 0; n < self->count; n++) {
        const Place *place = self->block ? &self->block->places[n] : &start;
        long long rows = place->rows, base = place->base;
        PyTuple_SET_ITEM(all, 2 + n, Py_BuildValue("LLK", rows, base, (unsigned long long)place->more));
    }
    if (PyErr_Occurred())
        Py_CLEAR(all);
    return all;
}

/* ---- made and unmade ---- */

static PyTypeObject *python_type(int type_num)
{
    switch (type_num) {
    case NPY_DOUBLE:
        return &PyFloat_Type;
    case NPY_BOOL:
        return &PyBool_Type;
    case NPY_CDOUBLE:
        return &PyComplex_Type;
    default:
        return type_num == NPY_INT64 ? &PyLong_Type : NULL;
    }
}

static int stream_init(Log *self, Stream *stream, PyObject *description)
{
    PyObject *key, *dtype, *shape;
    int required, side, indices;
    unsigned long long rate;
    if (!PyTuple_Check(description)) {
        PyErr_SetString(PyExc_TypeError, "a stream is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(
            description, "iOpKpnpO!O!", &stream->argument, &key, &required, &rate, &side, &stream->offset, &indices,
            &PyArrayDescr_Type, &dtype, &PyTuple_Type, &shape
        ))
        return -1;
    stream->required = required;
    stream->indices = indices;
    stream->rate = rate;
    stream->side = side ? self->sides++ : -1;
    stream->key = key == Py_None ? NULL : Py_NewRef(key);
    stream->dtype = (PyArray_Descr *)Py_NewRef(dtype);
    stream->python = python_type(stream->dtype->type_num);
    stream->ndim = (int)PyTuple_GET_SIZE(shape);
    stream->shape = PyMem_Calloc((size_t)stream->ndim + 1, sizeof *stream->shape);
    if (stream->shape == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    stream->nbytes = indices ? 8 : PyDataType_ELSIZE(stream->dtype);
    for (int axis = 0; axis < stream->ndim; axis++) {
        stream->shape[axis] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, axis));
        if (PyErr_Occurred())
            return -1;
        if (!indices && stream->shape[axis] > 0 && stream->nbytes > PY_SSIZE_T_MAX / stream->shape[axis]) {
            PyErr_SetString(PyExc_OverflowError, "a row larger than memory");
            return -1;
        }
        stream->nbytes *= indices ? 1 : stream->shape[axis];
    }
    if (stream->argument <= TIMESTEP || stream->argument >= ARGUMENTS || (indices && stream->ndim != 1)
        || (!stream->ndim && stream->nbytes > (Py_ssize_t)sizeof stream->scalar)
        || (stream->offset >= 0 && stream->offset > self->record - stream->nbytes)) {
        PyErr_SetString(PyExc_ValueError, "no stream of a plan");
        return -1;
    }
    self->of_argument[stream->argument]++;
    self->required_of[stream->argument] += required;
    return 0;
}

static PyObject *log_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *admit, *indices, *concurrent, *fall_back, *spike_indices, *signature, *streams;
    Py_ssize_t record;
    if (!PyArg_ParseTuple(
            args, "OOOO!OOnO!", &admit, &indices, &concurrent, &PyTuple_Type, &fall_back, &spike_indices,
            &signature, &record, &PyTuple_Type, &streams
        ))
        return NULL;
    Log *self = (Log *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = log_call;
    self->admit = Py_NewRef(admit);
    self->indices = Py_NewRef(indices);
    self->concurrent = Py_NewRef(concurrent);
    self->fall_back = Py_NewRef(fall_back);
    self->spike_indices = Py_NewRef(spike_indices);
    self->signature = Py_NewRef(signature);
    self->record = record;
    self->streams = PyMem_Calloc((size_t)PyTuple_GET_SIZE(streams) + 1, sizeof *self->streams);
    if (self->streams == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(streams); n++) {
        self->count++;
        if (stream_init(self, &self->streams[n], PyTuple_GET_ITEM(streams, n)) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static int log_traverse(Log *self, visitproc visit, void *arg)
{
    Py_VISIT(self->admit);
    Py_VISIT(self->indices);
    Py_VISIT(self->concurrent);
    Py_VISIT(self->fall_back);
    Py_VISIT(self->spike_indices);
    Py_VISIT(self->signature);
    for (int n = 0; self->streams && n < self->count; n++)
        Py_VISIT(self->streams[n].key);
    if (self->block)
        Py_VISIT(self->block->memory);
    return 0;
}

static int log_clear(Log *self)
{
    /* What holds the episode that holds this; the rest leads nowhere back. */
    self->capacity = 0;
    Py_CLEAR(self->admit);
    Py_CLEAR(self->indices);
    return 0;
}

static void log_dealloc(Log *self)
{
    PyObject_GC_UnTrack(self);
    log_clear(self);
    Py_CLEAR(self->concurrent);
    Py_CLEAR(self->fall_back);
    Py_CLEAR(self->spike_indices);
    Py_CLEAR(self->signature);
    block_free(self->block);
    for (int n = 0; self->streams && n < self->count; n++) {
        Py_CLEAR(self->streams[n].key);
        Py_CLEAR(self->streams[n].dtype);
        PyMem_Free(self->streams[n].shape);
    }
    PyMem_Free(self->streams);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef log_methods[] = {
    {"attach", (PyCFunction)log_attach, METH_VARARGS, "Go on in another block."},
    {"retire", (PyCFunction)log_retire, METH_NOARGS, "Send every further call to admit."},
    {"position", (PyCFunction)log_position, METH_NOARGS, "Where in its block it stands."},
    {"running", (PyCFunction)log_running, METH_NOARGS, "Whether a call is under way."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef log_members[] = {
    {"__signature__", T_OBJECT_EX, offsetof(Log, signature), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject LogType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recorder._hotpath.Log",
    .tp_doc = "A log function; see recorder.compiled.",
    .tp_basicsize = sizeof(Log),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Log, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_new = log_new,
    .tp_traverse = (traverseproc)log_traverse,
    .tp_clear = (inquiry)log_clear,
    .tp_dealloc = (destructor)log_dealloc,
    .tp_methods = log_methods,
    .tp_members = log_members,
};

/* ---- the one function that a program may keep while plans change ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *target, *wrapped;
} Front;

static PyObject *front_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *keywords)
{
    /* Held: what is called may aim elsewhere. */
    PyObject *target = ((Front *)callable)->target, *result;
    if (target == NULL) {
        PyErr_SetString(PyExc_ReferenceError, "this log function was collected");
        return NULL;
    }
    Py_INCREF(target);
    if (Py_TYPE(target) == &LogType)
        result = log_call(target, args, flags, keywords);
    else
        result = PyObject_Vectorcall(target, args, flags, keywords);
    Py_DECREF(target);
    return result;
}

static PyObject *front_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *wrapped;
    if (!PyArg_ParseTuple(args, "O", &wrapped))
        return NULL;
    Front *self = (Front *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = front_call;
        self->target = Py_NewRef(wrapped);
        self->wrapped = Py_NewRef(wrapped);
    }
    return (PyObject *)self;
}

static PyObject *front_aim(Front *self, PyObject *target)
{
    PyObject *before = self->target;
    self->target = Py_NewRef(target);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyObject *front_doc(Front *self, void *Py_UNUSED(closure))
{
    if (self->wrapped == NULL)
        Py_RETURN_NONE;
    return PyObject_GetAttrString(self->wrapped, "__doc__");
}

static int front_traverse(Front *self, visitproc visit, void *arg)
{
    Py_VISIT(self->target);
    Py_VISIT(self->wrapped);
    return 0;
}

static int front_clear(Front *self)
{
    Py_CLEAR(self->target);
    Py_CLEAR(self->wrapped);
    return 0;
}

static void front_dealloc(Front *self)
{
    PyObject_GC_UnTrack(self);
    front_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef front_methods[] = {
    {"aim", (PyCFunction)front_aim, METH_O, "Have calls go to this function from now on."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef front_members[] = {
    {"__wrapped__", T_OBJECT_EX, offsetof(Front, wrapped), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef front_getters[] = {
    {"__doc__", (getter)front_doc, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject FrontType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recorder._hotpath.Front",
    .tp_basicsize = sizeof(Front),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Front, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_new = front_new,
    .tp_traverse = (traverseproc)front_traverse,
    .tp_clear = (inquiry)front_clear,
    .tp_dealloc = (destructor)front_dealloc,
    .tp_methods = front_methods,
    .tp_members = front_members,
    .tp_getset = front_getters,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "recorder._hotpath",
    .m_doc = "The body of log(), compiled.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__hotpath(void)
{
    if (PyArray_ImportNumPyAPI() < 0 || PyType_Ready(&LogType) < 0 || PyType_Ready(&FrontType) < 0)
        return NULL;
    for (int n = 0; n < ARGUMENTS; n++)
        if (names[n] == NULL && (names[n] = PyUnicode_InternFromString(NAMES[n])) == NULL)
            return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made != NULL
        && (PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0
            || PyModule_AddObjectRef(made, "Log", (PyObject *)&LogType) < 0
            || PyModule_AddObjectRef(made, "Front", (PyObject *)&FrontType) < 0))
        Py_CLEAR(made);
    return made;
}
