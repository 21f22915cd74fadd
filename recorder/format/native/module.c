/* The compiled encoders as Python sees them; `recorder/format/native.py` says what is used where. */

#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "cells.h"
#include "deflate.h"
#include "planes.h"
#include "pool.h"

/* Raised with every change of what the Python side and this file say to each other: a stale build is not used. */
#define INTERFACE 2

typedef struct {
    const uint8_t *rows;
    size_t count, stride;
} Part;

/* What the threads see of a chunk. */
typedef struct {
    Job job; /* first, so that one is the other */
    Part *parts;
    size_t part_count, row_bytes, width, size, used;
    unsigned worth;
    uint8_t *out; /* NULL once done: memory ran out */
    size_t out_size;
} Work;

typedef struct {
    PyObject_HEAD
    PyObject *arrays;
    Work *work;
    Py_ssize_t exports;
} Chunk;

/* ---- without Python ---- */

static void gather(const Work *work, uint8_t *rows)
{
    uint8_t *at = rows;
    for (size_t n = 0; n < work->part_count; n++) {
        const Part *part = &work->parts[n];
        if (part->stride == work->row_bytes) {
            memcpy(at, part->rows, part->count * part->stride);
            at += part->count * part->stride;
        }
        else if (work->row_bytes == 8)
            for (size_t row = 0; row < part->count; row++, at += 8)
                memcpy(at, part->rows + row * part->stride, 8);
        else
            for (size_t row = 0; row < part->count; row++, at += work->row_bytes)
                memcpy(at, part->rows + row * part->stride, work->row_bytes);
    }
    memset(at, 0, work->size - (size_t)(at - rows));
}

static bool is_whole(const Work *work)
{
    return work->part_count == 1 && work->parts[0].stride == work->row_bytes
        && work->parts[0].count * work->row_bytes == work->size;
}

static void encode(Job *job)
{
    Work *work = (Work *)job;
    size_t size = work->size, bound = deflate_bound(size, work->width);
    bool whole = is_whole(work);
    uint8_t *rows = whole ? NULL : malloc(size + 1), *planes = malloc(size + 1), *out = malloc(bound);
    if (planes != NULL && out != NULL && (whole || rows != NULL)) {
        if (!whole)
            gather(work, rows);
        size_t values = size / work->width, used = work->used / work->width;
        shuffle(whole ? work->parts[0].rows : rows, values, work->width, planes);
        work->out_size = deflate_planes(planes, values, used, work->width, work->worth, out);
        if (work->out_size) {
            work->out = out;
            out = NULL;
        }
    }
    free(rows);
    free(planes);
    free(out);
}

/* ---- Chunk ---- */

static int read_part(Work *work, PyObject *object, Part *part)
{
    if (!PyArray_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "parts are arrays");
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    int axes = PyArray_NDIM(array);
    npy_intp inner = PyArray_ITEMSIZE(array);
    bool packed = axes >= 1;
    for (int axis = axes - 1; axis > 0; axis--) {
        packed = packed && PyArray_STRIDE(array, axis) == inner;
        inner *= PyArray_DIM(array, axis);
    }
    if (!packed || (size_t)inner != work->row_bytes || PyArray_STRIDE(array, 0) < 0) {
        PyErr_SetString(PyExc_ValueError, "parts are arrays of contiguous rows, of this size and in order");
        return -1;
    }
    npy_intp count = PyArray_DIM(array, 0);
    *part = (Part){PyArray_DATA(array), (size_t)count, (size_t)(count > 1 ? PyArray_STRIDE(array, 0) : inner)};
    return 0;
}

static void work_free(Work *work)
{
    if (work == NULL)
        return;
    free(work->parts);
    free(work->out);
    free(work);
}

static Work *read_work(PyObject *parts, Py_ssize_t rows, Py_ssize_t row_bytes, Py_ssize_t width)
{
    Work *work = calloc(1, sizeof *work);
    Py_ssize_t count = PyTuple_GET_SIZE(parts), total = 0;
    if (work == NULL || (work->parts = calloc((size_t)count + 1, sizeof *work->parts)) == NULL) {
        work_free(work);
        PyErr_NoMemory();
        return NULL;
    }
    work->job.run = encode;
    work->job.state = DONE;
    work->row_bytes = (size_t)row_bytes;
    work->width = (size_t)width;
    work->part_count = (size_t)count;
    bool fine = rows > 0 && row_bytes > 0 && width > 0 && row_bytes % width == 0 && rows <= INT32_MAX / row_bytes;
    for (Py_ssize_t n = 0; fine && n < count; n++) {
        if (read_part(work, PyTuple_GET_ITEM(parts, n), &work->parts[n]) < 0) {
            work_free(work);
            return NULL;
        }
        total += (Py_ssize_t)work->parts[n].count;
    }
    if (!fine || total > rows) {
        work_free(work);
        PyErr_SetString(PyExc_ValueError, "no chunk of less than 2 GiB");
        return NULL;
    }
    work->size = (size_t)(rows * row_bytes);
    work->used = (size_t)(total * row_bytes);
    return work;
}

static PyTypeObject ChunkType;

/* encode(parts, rows, row_bytes, width, worth, later): later by the threads of start(), else here and now. */
static PyObject *native_encode(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *parts;
    Py_ssize_t rows, row_bytes, width;
    unsigned worth;
    int later;
    if (!PyArg_ParseTuple(args, "O!nnnIp", &PyTuple_Type, &parts, &rows, &row_bytes, &width, &worth, &later))
        return NULL;
    Work *work = read_work(parts, rows, row_bytes, width);
    if (work == NULL)
        return NULL;
    Chunk *self = (Chunk *)ChunkType.tp_alloc(&ChunkType, 0);
    if (self == NULL) {
        work_free(work);
        return NULL;
    }
    self->arrays = Py_NewRef(parts);
    self->work = work;
    work->worth = worth > 1 ? worth : 1;
    if (later)
        pool_submit(&work->job);
    else {
        Py_BEGIN_ALLOW_THREADS
        encode(&work->job);
        Py_END_ALLOW_THREADS
    }
    return (PyObject *)self;
}

/* start(threads): have what was put off begun. */
static PyObject *native_start(PyObject *Py_UNUSED(module), PyObject *number)
{
    long threads = PyLong_AsLong(number);
    if (threads == -1 && PyErr_Occurred())
        return NULL;
    pool_start((int)threads);
    Py_RETURN_NONE;
}

static int await(Chunk *self)
{
    Py_BEGIN_ALLOW_THREADS
    pool_await(&self->work->job);
    Py_END_ALLOW_THREADS
    Py_CLEAR(self->arrays);
    if (self->work->out != NULL)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int chunk_buffer(Chunk *self, Py_buffer *view, int flags)
{
    if (await(self) < 0) {
        view->obj = NULL;
        return -1;
    }
    Work *work = self->work;
    return PyBuffer_FillInfo(view, (PyObject *)self, work->out, (Py_ssize_t)work->out_size, 1, flags);
}

static Py_ssize_t chunk_length(Chunk *self)
{
    return await(self) < 0 ? -1 : (Py_ssize_t)self->work->out_size;
}

static void chunk_dealloc(Chunk *self)
{
    bool mine = true;
    if (self->work != NULL) {
        Py_BEGIN_ALLOW_THREADS
        mine = pool_forget(&self->work->job);
        Py_END_ALLOW_THREADS
    }
    /* In a forked child the thread that was at it is gone, and whatever it had allocated is lost. */
    if (mine)
        work_free(self->work);
    Py_CLEAR(self->arrays);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyBufferProcs chunk_as_buffer = {.bf_getbuffer = (getbufferproc)chunk_buffer};
static PySequenceMethods chunk_as_sequence = {.sq_length = (lenfunc)chunk_length};

static PyTypeObject ChunkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recorder.format._native.Chunk",
    .tp_doc = "An encoded chunk, or one that is being encoded: looking at it waits.",
    .tp_basicsize = sizeof(Chunk),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)chunk_dealloc,
    .tp_as_buffer = &chunk_as_buffer,
    .tp_as_sequence = &chunk_as_sequence,
};

/* ---- cells ---- */

static PyObject *native_cells(PyObject *Py_UNUSED(module), PyObject *object)
{
    if (!PyArray_Check(object) || !PyArray_ISCARRAY_RO((PyArrayObject *)object)
        || PyArray_ITEMSIZE((PyArrayObject *)object) != 1) {
        PyErr_SetString(PyExc_ValueError, "a raster is a contiguous array of bytes");
        return NULL;
    }
    const uint8_t *raster = PyArray_DATA((PyArrayObject *)object);
    size_t size = (size_t)PyArray_SIZE((PyArrayObject *)object), count;
    Py_BEGIN_ALLOW_THREADS
    count = count_cells(raster, size);
    Py_END_ALLOW_THREADS
    npy_intp shape[1] = {(npy_intp)count};
    PyObject *cells = PyArray_SimpleNew(1, shape, NPY_INT64);
    if (cells == NULL)
        return NULL;
    int64_t *into = PyArray_DATA((PyArrayObject *)cells);
    size_t found;
    Py_BEGIN_ALLOW_THREADS
    found = find_cells(raster, size, into, count);
    Py_END_ALLOW_THREADS
    if (found < count) {
        /* Somebody else writes into it meanwhile. */
        PyObject *less = PySequence_GetSlice(cells, 0, (Py_ssize_t)found);
        Py_DECREF(cells);
        return less;
    }
    return cells;
}

static PyMethodDef methods[] = {
    {"encode", native_encode, METH_VARARGS, "A chunk of rows as shuffled and deflated bytes."},
    {"start", native_start, METH_O, "Have so many threads encode what was put off."},
    {"cells", native_cells, METH_O, "Places of the bytes of a raster that are not zero, int64."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "recorder.format._native",
    .m_doc = "Encoders, compiled.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__native(void)
{
    if (PyArray_ImportNumPyAPI() < 0 || PyType_Ready(&ChunkType) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made != NULL
        && (PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0
            || PyModule_AddObjectRef(made, "Chunk", (PyObject *)&ChunkType) < 0))
        Py_CLEAR(made);
    return made;
}
