/* The inverse of HDF5's shuffle, for loaders: byte planes of a chunk back into rows, without Python's lock. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
typedef __m128i Lanes;
#define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define STORE(p, v) _mm_storeu_si128((__m128i *)(p), v)
#define LOW(a, b) _mm_unpacklo_epi8(a, b)
#define HIGH(a, b) _mm_unpackhi_epi8(a, b)
#define LANES 16
#elif defined(__ARM_NEON)
#include <arm_neon.h>
typedef uint8x16_t Lanes;
#define LOAD(p) vld1q_u8(p)
#define STORE(p, v) vst1q_u8(p, v)
#define LOW(a, b) vzip1q_u8(a, b)
#define HIGH(a, b) vzip2q_u8(a, b)
#define LANES 16
#endif

#ifdef LANES
/* 16 values of a step, whose places have 4 bits. Interleaving the first half of the registers with the second
   moves the highest bit of the plane's number below them; so many rounds as the plane's number has bits. */
#define ROUNDS(WIDTH, BITS)                                                                                    \
    static size_t join_##WIDTH(const uint8_t *planes, size_t values, size_t count, uint8_t *rows)              \
    {                                                                                                          \
        size_t at = 0;                                                                                         \
        for (; at + LANES <= count; at += LANES) {                                                             \
            Lanes from[WIDTH], to[WIDTH];                                                                      \
            for (int k = 0; k < WIDTH; k++)                                                                    \
                from[k] = LOAD(planes + (size_t)k * values + at);                                              \
            for (int round = 0; round < BITS; round++) {                                                       \
                for (int k = 0; k < WIDTH / 2; k++) {                                                          \
                    to[2 * k] = LOW(from[k], from[k + WIDTH / 2]);                                             \
                    to[2 * k + 1] = HIGH(from[k], from[k + WIDTH / 2]);                                        \
                }                                                                                              \
                memcpy(from, to, sizeof to);                                                                   \
            }                                                                                                  \
            for (int k = 0; k < WIDTH; k++)                                                                    \
                STORE(rows + at * WIDTH + LANES * (size_t)k, from[k]);                                         \
        }                                                                                                      \
        return at;                                                                                             \
    }
ROUNDS(2, 1)
ROUNDS(4, 2)
ROUNDS(8, 3)
#endif

/* rows[i * width + p] = planes[p * values + i] for the first `count` values of each plane */
static void join(const uint8_t *planes, size_t values, size_t width, size_t count, uint8_t *rows)
{
    size_t at = 0;
#ifdef LANES
    if (width == 2)
        at = join_2(planes, values, count, rows);
    else if (width == 4)
        at = join_4(planes, values, count, rows);
    else if (width == 8)
        at = join_8(planes, values, count, rows);
#endif
    for (; at < count; at++)
        for (size_t p = 0; p < width; p++)
            rows[at * width + p] = planes[p * values + at];
}

static PyObject *unshuffle(PyObject *module, PyObject *args)
{
    Py_buffer planes, rows;
    Py_ssize_t width, first;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nnw*:unshuffle", &planes, &width, &first, &rows))
        return NULL;
    int fits = width > 0 && planes.len % width == 0 && rows.len % width == 0 && first >= 0 &&
               first <= planes.len / width && rows.len / width <= planes.len / width - first;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the planes do not hold these values");
    } else {
        Py_BEGIN_ALLOW_THREADS
        join((const uint8_t *)planes.buf + first, (size_t)(planes.len / width), (size_t)width,
             (size_t)(rows.len / width), rows.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&planes);
    PyBuffer_Release(&rows);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"unshuffle", unshuffle, METH_VARARGS, "unshuffle(planes, width, first, rows)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "recorder.format._unshuffle", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__unshuffle(void) { return PyModule_Create(&definition); }
