/* Checksums of HDF5's object headers, of many at once; see recorder/h5/frame.py.
 *
 * lookup3 is Bob Jenkins' hash (2006, public domain), as HDF5 uses it; recorder/h5/superblock.py has it in
 * Python, which takes 500 times as long.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* What recorder/h5/seal.py expects; another number is a build that was left behind by other sources. */
#define INTERFACE 1

#define ROTATE(x, k) (((x) << (k)) | ((x) >> (32 - (k))))

static uint32_t
word(const uint8_t *at, Py_ssize_t count)
{
    uint32_t out = 0;
    for (Py_ssize_t i = 0; i < 4 && i < count; i++)
        out |= (uint32_t)at[i] << (8 * i);
    return out;
}

static uint32_t
lookup3(const uint8_t *at, Py_ssize_t count)
{
    uint32_t a, b, c;
    a = b = c = 0xdeadbeefu + (uint32_t)count;
    for (; count > 12; at += 12, count -= 12) {
        a += word(at, 4);
        b += word(at + 4, 4);
        c += word(at + 8, 4);
        a -= c; a ^= ROTATE(c, 4); c += b;
        b -= a; b ^= ROTATE(a, 6); a += c;
        c -= b; c ^= ROTATE(b, 8); b += a;
        a -= c; a ^= ROTATE(c, 16); c += b;
        b -= a; b ^= ROTATE(a, 19); a += c;
        c -= b; c ^= ROTATE(b, 4); b += a;
    }
    if (count == 0)
        return c;
    a += word(at, count);
    b += word(at + 4, count - 4);
    c += word(at + 8, count - 8);
    c ^= b; c -= ROTATE(b, 14);
    a ^= c; a -= ROTATE(c, 11);
    b ^= a; b -= ROTATE(a, 25);
    c ^= b; c -= ROTATE(b, 16);
    a ^= c; a -= ROTATE(c, 4);
    b ^= a; b -= ROTATE(a, 14);
    c ^= b; c -= ROTATE(b, 24);
    return c;
}

PyDoc_STRVAR(seal_doc,
"seal(blocks, lengths, /)\n--\n\n"
"Store in the last four bytes of each block the checksum of those before them.\n\n"
"blocks is a writable buffer of blocks one after the other, lengths a buffer of their lengths, uint32.");

static PyObject *
seal(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer blocks, lengths;
    if (!PyArg_ParseTuple(args, "w*y*:seal", &blocks, &lengths))
        return NULL;
    uint8_t *at = blocks.buf, *end = at + blocks.len;
    const uint8_t *length = lengths.buf, *last = length + lengths.len;
    int fits = 1;
    for (; fits && last - length >= 4; length += 4) {
        Py_ssize_t count = (Py_ssize_t)word(length, 4);
        fits = count >= 4 && count <= end - at;
        if (fits) {
            uint32_t sum = lookup3(at, count - 4);
            at += count;
            for (int i = 0; i < 4; i++)
                at[i - 4] = (uint8_t)(sum >> (8 * i));
        }
    }
    fits = fits && length == last && at == end;
    PyBuffer_Release(&blocks);
    PyBuffer_Release(&lengths);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the lengths are not those of the blocks");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"seal", seal, METH_VARARGS, seal_doc},
    {NULL, NULL, 0, NULL},
};

static int
execute(PyObject *module)
{
    return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "recorder._seal",
    .m_doc = "Checksums of HDF5's object headers.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__seal(void)
{
    return PyModuleDef_Init(&definition);
}
