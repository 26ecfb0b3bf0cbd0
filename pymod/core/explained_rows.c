/* What explains the leaks of a snapshot, from tuples and back. */
#include "core.h"

#include <assert.h>

#include "py/alloc/hook.h"

/* ---- from tuples --------------------------------------------------------------------------- */

/* A str as UTF-8 in *bytes, a new reference. */
static bool
encode(PyObject *text, PyObject **bytes, struct mp_text *encoded)
{
    *bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (*bytes)
        *encoded = (struct mp_text){PyBytes_AS_STRING(*bytes), (size_t)PyBytes_GET_SIZE(*bytes)};
    return *bytes != NULL;
}

static bool
added(int status)
{
    if (status != MP_OK)
        mp_core_raise(status, NULL, NULL);
    return status == MP_OK;
}

/* (name, objects) */
static bool
add_type(struct mp_explained *explained, PyObject *row)
{
    PyObject *name, *bytes;
    unsigned long long objects;
    struct mp_text text;
    if (!PyArg_ParseTuple(row, "UK:type", &name, &objects) || !encode(name, &bytes, &text))
        return false;
    const bool done = added(mp_explained_add_type(explained, objects, text));
    Py_DECREF(bytes);
    return done;
}

/* (path, objects, root, detail) */
static bool
add_holder(struct mp_explained *explained, PyObject *row)
{
    PyObject *path, *root, *detail, *bytes[3] = {NULL};
    unsigned long long objects;
    struct mp_text texts[3];
    if (!PyArg_ParseTuple(row, "UKUU:holder", &path, &objects, &root, &detail))
        return false;
    const bool done = encode(path, &bytes[0], &texts[0]) && encode(detail, &bytes[1], &texts[1]) &&
                      encode(root, &bytes[2], &texts[2]) &&
                      added(mp_explained_add_holder(explained, objects, texts));
    for (int i = 0; i < 3; i++)
        Py_XDECREF(bytes[i]);
    return done;
}

/* Call `add` with each item of a list, which must be tuples. */
static bool
add_each(struct mp_explained *explained, PyObject *list,
         bool (*add)(struct mp_explained *explained, PyObject *row))
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *row = PyList_GET_ITEM(list, i);
        if (!PyTuple_Check(row)) {
            PyErr_SetString(PyExc_TypeError, "what explains leaks is made of tuples");
            return false;
        }
        if (!add(explained, row))
            return false;
    }
    return true;
}

/* (stack, objects, owners, retained, above, types, holders) */
static bool
add_leak(struct mp_explained *explained, PyObject *row)
{
    struct mp_explained_leak leak = {0};
    unsigned int stack;
    unsigned long long objects, owners, retained;
    long long above;
    PyObject *types, *holders;
    if (!PyArg_ParseTuple(row, "IKKKLO!O!:leak", &stack, &objects, &owners, &retained, &above,
                          &PyList_Type, &types, &PyList_Type, &holders))
        return false;
    leak.stack = stack;
    leak.above = above < 0 ? MP_NO_STACK : (uint32_t)above;
    leak.objects = objects;
    leak.owners = owners;
    leak.retained = retained;
    return added(mp_explained_add(explained, &leak)) && add_each(explained, types, add_type) &&
           add_each(explained, holders, add_holder);
}

PyObject *
mp_core_explain(struct mp_snapshot *snapshot, PyObject *args)
{
    struct mp_explained explained = {0};
    unsigned long long unfollowed;
    PyObject *rows;
    const char *why;
    if (!PyArg_ParseTuple(args, "KO!:explain", &unfollowed, &PyList_Type, &rows))
        return NULL;
    explained.unfollowed = unfollowed;
    const bool quiet = mp_hook_quiet(true);
    bool done = add_each(&explained, rows, add_leak);
    mp_hook_quiet(quiet);
    if (done && !mp_explained_check(&explained, snapshot->symbols->stacks, &why)) {
        PyErr_SetString(PyExc_ValueError, why);
        done = false;
    }
    if (!done) {
        mp_explained_clear(&explained);
        return NULL;
    }
    mp_explained_clear(&snapshot->explained);
    snapshot->explained = explained;
    Py_RETURN_NONE;
}

/* ---- to tuples ----------------------------------------------------------------------------- */

struct listing {
    const struct mp_explained *explained;
    const struct mp_explained_leak *leak;
};

static PyObject *
text_object(const struct mp_explained *explained, struct mp_explained_text text)
{
    return mp_core_text(mp_explained_text(explained, text));
}

static PyObject *
type_item(size_t i, void *data)
{
    const struct listing *listing = data;
    assert(i < listing->leak->types);
    const struct mp_explained_type *type = &listing->explained->types[listing->leak->type + i];
    PyObject *name = text_object(listing->explained, type->name);
    return name ? Py_BuildValue("(NK)", name, (unsigned long long)type->objects) : NULL;
}

static PyObject *
holder_item(size_t i, void *data)
{
    const struct listing *listing = data;
    const struct mp_explained *explained = listing->explained;
    assert(i < listing->leak->holders);
    const struct mp_explained_holder *holder = &explained->holders[listing->leak->holder + i];
    PyObject *path = text_object(explained, holder->path);
    PyObject *root = path ? text_object(explained, holder->root) : NULL;
    PyObject *detail = root ? text_object(explained, holder->detail) : NULL;
    if (detail)
        return Py_BuildValue("(NKNN)", path, (unsigned long long)holder->objects, root, detail);
    Py_XDECREF(path);
    Py_XDECREF(root);
    return NULL;
}

static PyObject *
leak_item(size_t i, void *data)
{
    const struct mp_explained_leak *leak = &((const struct mp_explained *)data)->leaks[i];
    struct listing listing = {data, leak};
    PyObject *types = mp_core_list(leak->types, type_item, &listing);
    PyObject *holders = types ? mp_core_list(leak->holders, holder_item, &listing) : NULL;
    if (!holders) {
        Py_XDECREF(types);
        return NULL;
    }
    return Py_BuildValue("(IKKKLNN)", (unsigned int)leak->stack, (unsigned long long)leak->objects,
                         (unsigned long long)leak->owners, (unsigned long long)leak->retained,
                         leak->above == MP_NO_STACK ? -1LL : (long long)leak->above, types,
                         holders);
}

PyObject *
mp_core_explained(struct mp_snapshot *snapshot)
{
    struct mp_explained *explained = &snapshot->explained;
    const bool quiet = mp_hook_quiet(true);
    PyObject *rows = mp_core_list(explained->count, leak_item, explained);
    PyObject *result =
        rows ? Py_BuildValue("(KN)", (unsigned long long)explained->unfollowed, rows) : NULL;
    mp_hook_quiet(quiet);
    return result;
}
